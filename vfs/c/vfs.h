/* The SQLite boundary: a sqlite3_vfs whose main database files are volumes.  See vfs/sqlite/vfs.py and file.py. */
#ifndef CLUSTERDB_VFS_H
#define CLUSTERDB_VFS_H

#include "store.h"

#include "vendor/sqlite3ext.h"

typedef struct Vfs Vfs;

/* What a name refers to, as the opener of the store answers. */
typedef struct Target {
    VolumeRow row;
    bool read_only;
    bool has_gate;
    bool has_copies; /* what is committed is kept elsewhere too */
    /* The gate lets everything pass while these 128 bytes of the gate table equal the expected ones; NULL: never. */
    const uint8_t *gate_row;
    uint8_t gate_passive[ROW_BYTES];
    void *owner; /* of the hooks: released with ``closed`` */
} Target;

struct File {
    sqlite3_file base;
    Vfs *vfs;
    Handle *handle;
    Target target;
    char *name;
    int level;
    int durability;
    const char *journal_mode;
    sqlite3_int64 mmap_size;
    uint64_t read_count;
    bool is_opening; /* SQLite reads the header of a file that it opens without a lock */
    bool is_elsewhere; /* the cluster has switched to another volume, which SQLite has not noticed yet */
    bool passes_gate; /* the gate was asked for the present pin, or must be asked for the next */
    File *next, **link;
};

typedef struct VfsHooks {
    bool (*open)(Vfs *vfs, const char *name, bool read_only, Target *target, Error *error);
    bool (*may_open)(Vfs *vfs, const char *path, Error *error); /* a plain file: not one of a store */
    bool (*gate_pin)(File *file, Error *error);
    bool (*gate_unpin)(File *file, Error *error);
    bool (*gate_before_read)(File *file, Error *error);
    bool (*gate_before_commit)(File *file, Error *error);
    bool (*before_copies)(File *file, Error *error); /* before a transaction is published */
    bool (*committed)(File *file, Error *error);     /* when it was, before the commit returns */
    bool (*tend)(File *file, Error *error);
    void (*closed)(Vfs *vfs, Target *target);
    void (*released)(void *owner); /* the VFS is gone */
    /* Report an error of a cluster to the program; returns the result code for SQLite. */
    int (*report)(Vfs *vfs, const char *name, const Error *error, bool in_commit);
} VfsHooks;

struct Vfs {
    sqlite3_vfs base;
    const sqlite3_api_routines *api;
    sqlite3_vfs *plain;
    Store *store;
    VfsHooks hooks;
    void *owner;
    char *name, *folder;
    int durability;
    bool reads_only; /* every file is opened read-only */
    int reference_count;
    pthread_mutex_t guard; /* the list of files */
    File *files;
};

/* ``store`` is NULL for a VFS that opens plain files only. */
Vfs *vfs_new(const sqlite3_api_routines *api, sqlite3_vfs *plain, Store *store, const char *name, const char *folder,
             int durability, const VfsHooks *hooks, void *owner);
int vfs_register(Vfs *vfs);
void vfs_unregister(Vfs *vfs);
void vfs_release(Vfs *vfs);
/* Apply ``visit`` to every open file of a volume. */
void vfs_each(Vfs *vfs, void (*visit)(File *file, void *context), void *context);
/* The name in the path of a volume or of its journal; NULL for a plain file. */
const char *volume_name(const Vfs *vfs, const char *path);
int result_code(const Error *error);

#define LOG_VFS_PLAIN "unix"
/* Register the VFS that stacks upon SQLite's own and combines writes to write-ahead logs (log.c), and return its name;
** NULL: there is no such VFS, or no memory.  It has to be registered while a database is opened only: SQLite makes any
** other VFS the default one when the default one is unregistered.  The caller has the interpreter's lock. */
const char *log_vfs_begin(const sqlite3_api_routines *api);
void log_vfs_end(const sqlite3_api_routines *api);

void memory_file_open(sqlite3_file *file);
extern const int memory_file_bytes;

#endif
