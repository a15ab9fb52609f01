/* Reads the catalog of a store, ``catalog.db``, with the SQLite that loaded this library: the reading half of
** clusterdb/catalog, for names of clusters.
**
** A connection exists for one question only.  SQLite locks with fcntl(2), whose locks belong to the process: when a
** second SQLite in the same process closes the file, the locks of the first are gone (sqlite.org/howtocorrupt.html,
** section 2.2.1).  Therefore the file is not opened while this process has it open otherwise, as clusterdb has.
*/
#include "standalone.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x636c7374
#define CATALOG_FORMAT 2
#define BUSY_TIMEOUT_MS 30000

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

/* --- connections -------------------------------------------------------------------------------------------------- */
static bool is_open_in_this_process(const char *path)
{
    struct stat wanted, status;
    bool found = false;
    if (stat(path, &wanted) != 0) return false;
    DIR *fds = opendir("/proc/self/fd");
    for (struct dirent *entry; fds && !found && (entry = readdir(fds));) {
        int fd = atoi(entry->d_name);
        found = *entry->d_name != '.' && fstat(fd, &status) == 0 && status.st_dev == wanted.st_dev &&
                status.st_ino == wanted.st_ino;
    }
    if (fds) closedir(fds);
    return found;
}

static bool fail_catalog(const Catalog *catalog, sqlite3 *database, int code, Error *error)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fail(error, E_BUSY,
                    "the catalog of its store stayed locked by another process: if a process that uses the store is "
                    "stopped, resume or kill it");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return fail(error, E_CORRUPTION, "the catalog of its store is damaged (%s): run cldb --store '@' check",
                    catalog->api->errmsg(database));
    case SQLITE_NOMEM:
        return fail(error, E_MEMORY, "out of memory");
    default:
        return fail(error, E_CANT_OPEN, "the catalog of its store cannot be read: %s", catalog->api->errmsg(database));
    }
}

/* Open the catalog for one question, with the guard; to be followed by close_catalog() in any case. */
static sqlite3 *open_catalog(const Catalog *catalog, Error *error)
{
    const sqlite3_api_routines *api = catalog->api;
    char *path = api->mprintf("%s/catalog.db", catalog->directory);
    sqlite3 *database = NULL;
    pthread_mutex_lock(&guard);
    if (!path) {
        fail(error, E_MEMORY, "out of memory");
    } else if (is_open_in_this_process(path)) {
        fail(error, E_CANT_OPEN,
             "this process has its store open already, through clusterdb: connect with clusterdb, or use another "
             "process");
    } else {
        int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW;
        int code = api->open_v2(path, &database, flags, catalog->plain);
        if (code != SQLITE_OK) {
            fail_catalog(catalog, database, code, error);
            api->close_v2(database);
            database = NULL;
        }
    }
    api->free(path);
    if (!database) return NULL;
    int persists = 1;
    api->busy_timeout(database, BUSY_TIMEOUT_MS);
    api->db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* closing leaves the files as they are */
    api->db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    api->file_control(database, "main", SQLITE_FCNTL_PERSIST_WAL, &persists);
    return database;
}

static void close_catalog(const Catalog *catalog, sqlite3 *database)
{
    if (database) catalog->api->close_v2(database);
    pthread_mutex_unlock(&guard);
}

/* Prepare a statement and step to its first row, ``*found`` if there is one; the caller finalizes it. */
static sqlite3_stmt *first_row(const Catalog *catalog, sqlite3 *database, const char *sql, const char *name,
                               uint64_t id, bool *found, Error *error)
{
    const sqlite3_api_routines *api = catalog->api;
    sqlite3_stmt *statement = NULL;
    int code = api->prepare_v2(database, sql, -1, &statement, NULL);
    if (code == SQLITE_OK && name) code = api->bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (code == SQLITE_OK && id) code = api->bind_int64(statement, 1, (sqlite3_int64)id);
    if (code == SQLITE_OK) code = api->step(statement);
    *found = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE) return statement;
    fail_catalog(catalog, database, code, error);
    api->finalize(statement);
    return NULL;
}

/* --- the store ---------------------------------------------------------------------------------------------------- */
static bool get_number(const Catalog *catalog, sqlite3 *database, const char *sql, sqlite3_int64 *number, Error *error)
{
    bool found;
    sqlite3_stmt *statement = first_row(catalog, database, sql, NULL, 0, &found, error);
    if (!statement) return false;
    *number = found ? catalog->api->column_int64(statement, 0) : 0;
    catalog->api->finalize(statement);
    return true;
}

static bool check_identity(const Catalog *catalog, sqlite3 *database, const uint8_t *store_id, Error *error)
{
    const sqlite3_api_routines *api = catalog->api;
    bool found;
    sqlite3_stmt *statement = first_row(catalog, database, "SELECT id FROM store", NULL, 0, &found, error);
    if (!statement) return false;
    bool same = found && api->column_bytes(statement, 0) == STORE_ID_BYTES &&
                memcmp(api->column_blob(statement, 0), store_id, STORE_ID_BYTES) == 0;
    api->finalize(statement);
    return same || fail(error, E_CORRUPTION,
                        "catalog.db and pool of its store are those of different stores: restore both from one backup");
}

bool catalog_check(const Catalog *catalog, const uint8_t store_id[STORE_ID_BYTES], Error *error)
{
    sqlite3_int64 application_id, format;
    sqlite3 *database = open_catalog(catalog, error);
    bool done = database && get_number(catalog, database, "PRAGMA application_id", &application_id, error) &&
                get_number(catalog, database, "PRAGMA user_version", &format, error);
    if (done && application_id != APPLICATION_ID)
        done = fail(error, E_CORRUPTION, "catalog.db of its store is not a catalog of clusterdb");
    if (done && format != CATALOG_FORMAT)
        done = fail(error, E_CANT_OPEN,
                    "the catalog of its store has format %lld, and this extension "
                    "reads format %d: use that of the release of clusterdb that "
                    "wrote it", (long long)format, CATALOG_FORMAT);
    done = done && check_identity(catalog, database, store_id, error);
    close_catalog(catalog, database);
    return done;
}

/* --- clusters ----------------------------------------------------------------------------------------------------- */
static bool is_between(sqlite3_int64 value, sqlite3_int64 low, sqlite3_int64 end)
{
    return low <= value && value < end;
}

/* The columns are those of find() below; checked as in clusterdb/catalog/rows.py. */
static bool read_cluster(const sqlite3_api_routines *api, sqlite3_stmt *statement, Cluster *cluster)
{
    sqlite3_int64 id = api->column_int64(statement, 0), volume = api->column_int64(statement, 2);
    sqlite3_int64 index = api->column_int64(statement, 3), head_slot = api->column_int64(statement, 4);
    const char *status = (const char *)api->column_text(statement, 1);
    const char *state = (const char *)api->column_text(statement, 5);
    const void *base = api->column_blob(statement, 6);
    if (!status || !state || strcmp(state, "live") != 0) return false;
    if (!base || api->column_bytes(statement, 6) != VERSION_RECORD_BYTES) return false;
    if (!is_between(id, 1, 1ll << 62) || !is_between(volume, 1, HALTED)) return false;
    if (!is_between(index, 0, VOLUME_ROWS) || !is_between(head_slot, 1, (sqlite3_int64)SLOT_COUNT_MAX)) return false;
    memset(cluster, 0, sizeof *cluster);
    if (!unpack_version(base, &cluster->row.base)) return false;
    cluster->id = (uint64_t)id;
    cluster->row.volume = cluster->row.base.volume = (uint64_t)volume;
    cluster->row.table_index = (uint32_t)index;
    cluster->row.head_slot = (uint32_t)head_slot;
    cluster->is_available = strcmp(status, "available") == 0;
    return true;
}

bool catalog_find(const Catalog *catalog, const char *name, uint64_t id, Cluster *cluster, bool *found, Error *error)
{
    static const char by_name[] = "SELECT c.cluster, c.status, v.volume, v.row, v.head_slot, v.state, v.base "
                                  "FROM clusters AS c LEFT JOIN volumes AS v ON v.volume = c.volume WHERE c.name = ?1";
    static const char by_id[] = "SELECT c.cluster, c.status, v.volume, v.row, v.head_slot, v.state, v.base "
                                "FROM clusters AS c LEFT JOIN volumes AS v ON v.volume = c.volume WHERE c.cluster = ?1";
    sqlite3 *database = open_catalog(catalog, error);
    sqlite3_stmt *statement = NULL;
    if (database) statement = first_row(catalog, database, name ? by_name : by_id, name, id, found, error);
    bool done = statement != NULL;
    if (done && *found && !read_cluster(catalog->api, statement, cluster))
        done = fail(error, E_CORRUPTION, "its row in the catalog is invalid: run cldb --store '@' check");
    if (statement) catalog->api->finalize(statement);
    close_catalog(catalog, database);
    return done;
}
