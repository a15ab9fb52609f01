/* The entry point of SQLite: how this library reaches the SQLite that loads it. */
#include "vfs.h"

const sqlite3_api_routines *loaded_api;
int sqlite3_clusterdbvfs_init(sqlite3 *database, char **message, const sqlite3_api_routines *api);

__attribute__((visibility("default"))) int sqlite3_clusterdbvfs_init(sqlite3 *database, char **message,
                                                                     const sqlite3_api_routines *api)
{
    (void)database;
    (void)message;
    loaded_api = api;
    return SQLITE_OK_LOAD_PERMANENTLY;
}
