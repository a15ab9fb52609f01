/* The library for programs without Python: a loadable extension of SQLite that reads the clusters of stores.
**
** What vfs/store.py and the catalog do for the plane in C is done here for readers, who change nothing but their own
** rows of the session table, counters of reads, and the stamp of a clean close.  Whatever else a store may need before
** it can be read (recovery, an upgrade) is refused with a message that names the command for it.
*/
#ifndef CLUSTERDB_STANDALONE_H
#define CLUSTERDB_STANDALONE_H

#include "../vfs.h"

#define STORE_ID_BYTES 16

/* --- the catalog (catalog.c) -------------------------------------------------------------------------------------- */
typedef struct Catalog {
    const sqlite3_api_routines *api;
    const char *plain; /* the VFS that opens it */
    const char *directory;
} Catalog;

typedef struct Cluster {
    uint64_t id;
    VolumeRow row;
    bool is_available; /* it is not stopped */
} Cluster;

/* Check the format of the catalog, and that it has this identity. */
bool catalog_check(const Catalog *catalog, const uint8_t store_id[STORE_ID_BYTES], Error *error);
/* The cluster with a name, or with an id if the name is NULL, and its present volume. */
bool catalog_find(const Catalog *catalog, const char *name, uint64_t id, Cluster *cluster, bool *found, Error *error);

/* --- the files of a store (opening.c) ----------------------------------------------------------------------------- */
/* Open the files of a store, check that they can be used as they are, and share the store lock through ``*holder``. */
bool files_open(StoreFiles *files, int *holder, const Catalog *catalog, Error *error);
void files_close(StoreFiles *files);
/* Stamp the derived files of a store if no other process has it open (K1 of vfs/storage/seals.py). */
void files_stamp(int holder, const char *directory, Store *store);

#endif
