/* The VFS "clusterdb" of a program that loads this library: file:NAME?vfs=clusterdb&store=DIRECTORY
**
** The registered VFS, the *front*, has no store.  It opens a cluster through a VFS of the cluster's store, which it
** keeps as long as a file of that store is open.  Names with a slash or a dot are plain files, as in clusterdb.
**
** SQLite's message for a file that cannot be opened has no room for a reason.  The reason is written to standard error
** and to SQLite's log (SQLITE_CONFIG_LOG), and xGetLastError has it.
*/
#include "standalone.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VFS_NAME "clusterdb"
#define SUCCESSOR_PATIENCE_MS 5000

int sqlite3_clusterdbvfs_init(sqlite3 *database, char **message, const sqlite3_api_routines *api);

/* A store that this process has open. */
typedef struct Opened {
    Catalog catalog;
    char *directory;
    int holder; /* of the store lock: a file description of its own */
    dev_t device; /* of its pool */
    ino_t inode;
    Vfs *front, *vfs;
    int user_count; /* files, and files that are being opened */
    struct Opened *next;
} Opened;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER; /* the list of open stores */
static Opened *opened_stores;
static _Thread_local char last_error[PATH_MAX + 1024];

/* --- errors ------------------------------------------------------------------------------------------------------- */
/* Append text to the last error; in it, '@' is the directory of the store. */
static void append(const char *text, const char *directory)
{
    size_t length = strlen(last_error);
    for (; *text && length + 1 < sizeof last_error; text++) {
        if (*text == '@' && directory) {
            last_error[length] = 0;
            append(directory, NULL);
            length = strlen(last_error);
        } else {
            last_error[length++] = *text;
        }
    }
    last_error[length] = 0;
}

/* Note an error for the user; returns SQLite's result code for it. */
static int note_error(const sqlite3_api_routines *api, const char *name, const char *directory, const Error *error)
{
    int code = result_code(error);
    *last_error = 0;
    append(name, NULL);
    if (directory) append(" of store '@'", directory);
    append(": ", NULL);
    append(error->text, directory);
    if ((code & 0xff) == SQLITE_BUSY) return code; /* the program may try again */
    api->log(code, "clusterdb: %s", last_error);
    fprintf(stderr, "clusterdb: %s\n", last_error);
    return code;
}

static int hook_report(Vfs *vfs, const char *name, const Error *error, bool in_commit)
{
    (void)in_commit;
    const Opened *opened = vfs->owner;
    char subject[100];
    if (!opened) return note_error(vfs->api, name, NULL, error);
    snprintf(subject, sizeof subject, "cluster '%s'", name);
    return note_error(vfs->api, subject, opened->directory, error);
}

/* --- hooks of a store that only readers use ----------------------------------------------------------------------- */
static Opened *opened_of(const Handle *handle)
{
    return handle->store->owner;
}

static bool hook_deliver_signals(Store *store, Error *error)
{
    (void)store;
    (void)error;
    return true;
}

/* The record of a head is in its sectors, or is the base: if it is not, the head has moved meanwhile. */
static bool hook_find_record(Handle *handle, uint64_t version, Version *record, bool *found, Error *error)
{
    (void)handle;
    (void)version;
    (void)record;
    (void)error;
    *found = false;
    return true;
}

/* The slots that a reader was the last to hold are found by the next writer, or when the store is next cleaned up. */
static void hook_on_close(Handle *handle)
{
    (void)handle;
}

static void hook_released(void *owner)
{
    (void)owner;
}

/* As successor() of vfs/storage/reader.py.  A process that drops or moves a volume flags its row before the catalog
** changes, and holds the catalog until then: wait for the outcome, since a reader cannot lock the catalog.
*/
static bool hook_successor(Handle *handle, bool follows, VolumeRow *row, bool *found, Error *error)
{
    (void)follows;
    struct timespec pause = {0, 10000000};
    const uint64_t cluster_id = (uint64_t)(uintptr_t)handle->owner;
    *found = false;
    for (int waited_ms = 0; waited_ms < SUCCESSOR_PATIENCE_MS; waited_ms += 10) {
        uint64_t word = get_word(&handle->shared->id);
        Cluster cluster;
        bool exists = false;
        if (word == handle->id) return true; /* the drop has failed */
        if (word == (handle->id | DAMAGED))
            return fail(error, E_CORRUPTION, "recovery found no intact version: run cldb --store '@' check");
        if (!catalog_find(&opened_of(handle)->catalog, NULL, cluster_id, &cluster, &exists, error)) return false;
        if (!exists) return fail(error, E_DROPPED, "it was dropped");
        if (cluster.row.volume != handle->row.volume) {
            *row = cluster.row;
            *found = true;
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return fail(error, E_BUSY,
                "another process is dropping or resetting it: if that process is stopped, resume or kill it, then "
                "run cldb --store '@' check");
}

static bool hook_require_resident(Store *store, uint32_t slot, uint32_t crc, Error *error)
{
    (void)store;
    (void)crc;
    return fail(error, E_OS, "a page (slot %u) of it is on object storage: read it with clusterdb", slot);
}

/* Without Python, copies are out of reach. */
static bool hook_mend(Handle *handle, uint32_t page, uint32_t slot, uint32_t crc, Error *error)
{
    (void)handle;
    (void)page;
    (void)slot;
    (void)crc;
    (void)error;
    return true;
}

/* Readers call no other hook. */
static const Hooks store_hooks = {
    .on_close = hook_on_close,
    .successor = hook_successor,
    .find_record = hook_find_record,
    .require_resident = hook_require_resident,
    .mend = hook_mend,
    .deliver_signals = hook_deliver_signals,
    .released = hook_released,
};

/* --- hooks of the VFS of a store ---------------------------------------------------------------------------------- */
static bool hook_open(Vfs *vfs, const char *name, bool read_only, Target *target, Error *error)
{
    (void)read_only;
    Opened *opened = vfs->owner;
    Cluster cluster;
    bool found;
    if (!catalog_find(&opened->catalog, name, 0, &cluster, &found, error)) return false;
    if (!found)
        return fail(error, E_CANT_OPEN, "it does not exist: run cldb --store '@' ls for the names");
    if (!cluster.is_available)
        return fail(error, E_CANT_OPEN, "it is stopped: run cldb --store '@' start %s", name);
    *target = (Target){.row = cluster.row, .read_only = true, .owner = (void *)(uintptr_t)cluster.id};
    pthread_mutex_lock(&guard);
    opened->user_count++;
    pthread_mutex_unlock(&guard);
    return true;
}

static void release(Opened *opened);

static void hook_closed(Vfs *vfs, Target *target)
{
    if (target->owner) release(vfs->owner);
}

/* A file of a store must not be opened as a database: see vfs/sqlite/own_files.py. */
static bool hook_may_open(Vfs *vfs, const char *path, Error *error)
{
    static const char *const marks[] = {"catalog.db", "pool", "locks"};
    (void)vfs;
    char home[PATH_MAX + 20], target[PATH_MAX];
    if (strlen(path) >= PATH_MAX) return true; /* SQLite reports it */
    if (!realpath(path, target)) strcpy(target, path); /* it does not exist yet */
    for (int level = 0; level < 2; level++) { /* history/N, too */
        char *slash = strrchr(target, '/');
        if (!slash) return true;
        *slash = 0;
        size_t mark_count = 0;
        for (size_t n = 0; n < sizeof marks / sizeof *marks; n++) {
            snprintf(home, sizeof home, "%s/%s", target, marks[n]);
            mark_count += access(home, F_OK) == 0;
        }
        if (mark_count == sizeof marks / sizeof *marks)
            return fail(error, E_CANT_OPEN, "it is a file of a store: open a cluster by its name instead");
        if (!(slash = strrchr(target, '/')) || strcmp(slash, "/history") != 0) return true;
    }
    return true;
}

static const VfsHooks vfs_hooks = {
    .open = hook_open,
    .may_open = hook_may_open,
    .closed = hook_closed,
    .released = hook_released,
    .report = hook_report,
};

/* --- open stores -------------------------------------------------------------------------------------------------- */
static void opened_free(Opened *opened)
{
    if (opened->holder >= 0) close(opened->holder);
    if (opened->vfs) vfs_release(opened->vfs);
    free(opened->directory);
    free(opened);
}

/* End a use of a store, and close it with the last one. */
static void release(Opened *opened)
{
    pthread_mutex_lock(&guard);
    bool is_last = --opened->user_count == 0;
    if (is_last) {
        Opened **link = &opened_stores;
        while (*link != opened) link = &(*link)->next;
        *link = opened->next;
        Store *store = opened->vfs->store;
        if (!store_is_orphan(store)) {
            store_close_sessions(store);
            files_stamp(opened->holder, opened->directory, store);
        }
    }
    pthread_mutex_unlock(&guard);
    if (is_last) opened_free(opened);
}

static Opened *open_store(Vfs *front, char *directory, Error *error)
{
    Opened *opened = calloc(1, sizeof *opened);
    if (!opened) {
        free(directory);
        fail(error, E_MEMORY, "out of memory");
        return NULL;
    }
    StoreFiles files;
    struct stat status;
    Store *store = NULL;
    opened->directory = directory;
    opened->front = front;
    opened->catalog = (Catalog){front->api, front->plain->zName, directory};
    if (files_open(&files, &opened->holder, &opened->catalog, error))
        store = store_open(&files, &store_hooks, opened, error);
    files_close(&files); /* the store has its own descriptors */
    if (store && fstat(store->pool_fd, &status) == 0) {
        opened->device = status.st_dev;
        opened->inode = status.st_ino;
        opened->vfs = vfs_new(front->api, front->plain, store, VFS_NAME, "", DURABILITY_FULL, &vfs_hooks, opened);
        if (!opened->vfs) fail(error, E_MEMORY, "out of memory");
    }
    if (store) store_release(store); /* the VFS has a reference */
    if (opened->vfs) {
        opened->vfs->reads_only = true;
        return opened;
    }
    opened_free(opened);
    return NULL;
}

/* The store in a directory, opened if this process does not have it open; to be followed by release(). */
static Opened *acquire(Vfs *front, const char *path, Error *error)
{
    char pool[PATH_MAX + 8];
    struct stat status;
    char *directory = realpath(path, NULL);
    if (!directory) {
        fail_os(error, errno, "its store cannot be opened");
        return NULL;
    }
    snprintf(pool, sizeof pool, "%s/pool", directory);
    bool exists = stat(pool, &status) == 0;
    pthread_mutex_lock(&guard);
    Opened *opened = opened_stores;
    while (opened && !(exists && opened->front == front && opened->device == status.st_dev &&
                       opened->inode == status.st_ino && !store_is_orphan(opened->vfs->store)))
        opened = opened->next;
    if (opened) {
        free(directory);
    } else if ((opened = open_store(front, directory, error))) {
        opened->next = opened_stores;
        opened_stores = opened;
    }
    if (opened) opened->user_count++;
    pthread_mutex_unlock(&guard);
    return opened;
}

/* --- the front ---------------------------------------------------------------------------------------------------- */
static int (*open_plain)(sqlite3_vfs *, sqlite3_filename, sqlite3_file *, int, int *);

static int open_cluster(Vfs *front, const char *name, sqlite3_filename path, sqlite3_file *file, int flags,
                        int *out_flags)
{
    Error error = {0};
    Opened *opened = NULL;
    const char *directory = front->api->uri_parameter(path, "store");
    const char *cache = front->api->uri_parameter(path, "cache");
    char subject[100];
    snprintf(subject, sizeof subject, "cluster '%s'", name);
    if (!directory || !*directory)
        fail(&error, E_CANT_OPEN, "its store is not given: open file:%s?vfs=" VFS_NAME "&store=DIRECTORY (as a URI)",
             name);
    else if (cache && strcmp(cache, "shared") == 0) /* SQLite's key of a shared cache does not have the store */
        fail(&error, E_CANT_OPEN, "clusters have no shared cache: open it without cache=shared");
    else
        opened = acquire(front, directory, &error);
    if (!opened) {
        if (error.kind == E_OS) error.kind = E_CANT_OPEN;
        return note_error(front->api, subject, directory, &error);
    }
    int code = opened->vfs->base.xOpen(&opened->vfs->base, path, file, flags, out_flags);
    release(opened);
    return code;
}

static int front_open(sqlite3_vfs *base, sqlite3_filename path, sqlite3_file *file, int flags, int *out_flags)
{
    Vfs *front = base->pAppData;
    const char *name = path && (flags & SQLITE_OPEN_MAIN_DB) ? volume_name(front, path) : NULL;
    if (!name) return open_plain(base, path, file, flags, out_flags);
    file->pMethods = NULL;
    return open_cluster(front, name, path, file, flags, out_flags);
}

static int front_last_error(sqlite3_vfs *base, int room, char *text)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    if (room <= 0 || !*last_error) return plain->xGetLastError ? plain->xGetLastError(plain, room, text) : 0;
    snprintf(text, (size_t)room, "%s", last_error);
    return 0;
}

/* --- forks -------------------------------------------------------------------------------------------------------- */
static void before_fork(void)
{
    pthread_mutex_lock(&guard);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&guard);
}

/* The child must not keep the locks of the parent, which are those of its open file descriptions. */
static void after_fork_in_child(void)
{
    for (Opened *opened = opened_stores; opened; opened = opened->next) {
        store_forget_locks(opened->vfs->store);
        if (opened->holder >= 0) close(opened->holder);
        opened->holder = -1;
    }
    pthread_mutex_unlock(&guard);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

/* --- the entry point ---------------------------------------------------------------------------------------------- */
__attribute__((visibility("default"))) int sqlite3_clusterdbvfs_init(sqlite3 *database, char **message,
                                                                     const sqlite3_api_routines *api)
{
    static pthread_once_t watched = PTHREAD_ONCE_INIT;
    sqlite3_vfs *present = api->vfs_find(VFS_NAME), *plain = api->vfs_find(NULL);
    (void)database;
    pthread_once(&watched, watch_forks);
    if (!present) {
        Vfs *front = vfs_new(api, plain, NULL, VFS_NAME, "", DURABILITY_FULL, &vfs_hooks, NULL);
        if (!front) return SQLITE_NOMEM;
        open_plain = front->base.xOpen;
        front->base.xOpen = front_open;
        front->base.xGetLastError = front_last_error;
        if (vfs_register(front) != SQLITE_OK) {
            *message = api->mprintf("the VFS " VFS_NAME " cannot be registered");
            return SQLITE_ERROR;
        }
    }
    return SQLITE_OK_LOAD_PERMANENTLY;
}
