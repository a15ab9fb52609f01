/* SQLite's calls on clusters: the twin of vfs/sqlite/vfs.py and vfs/sqlite/file.py, which explain names and states.
**
**     NONE ---xLock(SHARED)---> SHARED ---xLock(RESERVED)---> RESERVED ---xLock(EXCLUSIVE)---> EXCLUSIVE
**                               a pinned version              a transaction                    (the same)
**
** A commit is published at SQLITE_FCNTL_COMMIT_PHASETWO.  An error there must be SQLITE_IOERR or SQLITE_FULL, so that
** the pager discards its cache.  xFetch returns pointers into the mapped pool: they are valid as long as the version is
** pinned, and a transaction of the same connection never changes a page under them, since it writes to other slots.
*/
#include "vfs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


int result_code(const Error *error)
{
    switch (error->kind) {
    case E_NONE: return SQLITE_OK;
    case E_POOL_FULL: return SQLITE_FULL;
    case E_CORRUPTION: return SQLITE_CORRUPT;
    case E_DROPPED: return SQLITE_IOERR_DELETE_NOENT;
    case E_WRITER_BUSY:
    case E_BUSY: return SQLITE_BUSY;
    case E_SNAPSHOT_MOVED: return SQLITE_BUSY_SNAPSHOT;
    case E_FORKED: return SQLITE_MISUSE;
    case E_FENCED: return SQLITE_READONLY | (4 << 8); /* SQLITE_READONLY_DBMOVED */
    case E_READ_ONLY: return SQLITE_READONLY;
    case E_MEMORY: return SQLITE_NOMEM;
    case E_CANT_OPEN: return SQLITE_CANTOPEN;
    case E_RAISED: return error->number ? error->number : SQLITE_IOERR;
    default: return SQLITE_IOERR;
    }
}

static File *file_of(sqlite3_file *file)
{
    return (File *)(void *)file;
}

static int report(File *file, const Error *error)
{
    return file->vfs->hooks.report(file->vfs, file->name, error, false);
}

/* --- the gate ----------------------------------------------------------------------------------------------------- */
static bool is_passive(const File *file)
{
    const Target *target = &file->target;
    return !target->has_gate || (target->gate_row && !memcmp(target->gate_row, target->gate_passive, ROW_BYTES));
}

static bool pin(File *file, Error *error)
{
    file->passes_gate = file->passes_gate || !is_passive(file);
    return file->passes_gate ? file->vfs->hooks.gate_pin(file, error) : handle_pin(file->handle, error);
}

/* A gate that was asked for the pin is asked for the end of it too, since it may keep the version. */
static bool unpin(File *file, Error *error)
{
    bool passive = is_passive(file);
    if (!file->passes_gate && passive) {
        handle_unpin(file->handle);
        return true;
    }
    bool done = file->vfs->hooks.gate_unpin(file, error);
    file->passes_gate = !passive;
    return done;
}

/* --- locks -------------------------------------------------------------------------------------------------------- */
static int file_unlock(sqlite3_file *base, int level)
{
    File *file = file_of(base);
    Error error;
    no_error(&error);
    bool done = true;
    if (level <= SQLITE_LOCK_SHARED) handle_end(file->handle);
    if (level == SQLITE_LOCK_NONE) {
        done = unpin(file, &error);
        if (file->read_count && !store_is_orphan(file->vfs->store)) {
            uint64_t *word = &file->handle->shared->read;
            set_word(word, get_word(word) + file->read_count);
        }
        file->read_count = 0;
        if (done && file->handle->is_tend_due) {
            file->handle->is_tend_due = false;
            done = file->vfs->hooks.tend(file, &error);
        }
    }
    file->level = level;
    return done ? SQLITE_OK : report(file, &error);
}

static int file_lock(sqlite3_file *base, int level)
{
    File *file = file_of(base);
    Error error;
    no_error(&error);
    bool done = true;
    if (level == SQLITE_LOCK_SHARED) {
        if (file->level != SQLITE_LOCK_NONE) file_unlock(base, SQLITE_LOCK_NONE);
        uint64_t moves = file->handle->move_count;
        done = pin(file, &error);
        if (file->handle->move_count != moves) file->is_elsewhere = true;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (!file->handle->is_writing) done = handle_begin_write(file->handle, &error);
    } else if (!file->handle->is_writing && level > SQLITE_LOCK_SHARED) {
        /* EXCLUSIVE directly from SHARED: only for a hot journal, which xAccess never reports */
        done = fail(&error, E_BUSY, "BUG: lock level %d requested without RESERVED", level);
    }
    if (!done) return report(file, &error);
    file->level = level;
    return SQLITE_OK;
}

static int file_is_reserved(sqlite3_file *base, int *result)
{
    File *file = file_of(base);
    *result = file->handle->is_writing || handle_is_being_written(file->handle);
    return SQLITE_OK;
}

/* --- reading and writing ------------------------------------------------------------------------------------------ */
static bool read_unlocked(File *file, void *buffer, size_t amount, uint64_t offset, size_t *length, Error *error)
{
    Error ignored = {0};
    if (!pin(file, error)) return false;
    bool done = handle_read(file->handle, buffer, amount, offset, length, error);
    return unpin(file, done ? error : &ignored) && done;
}

static int file_read(sqlite3_file *base, void *buffer, int amount, sqlite3_int64 offset)
{
    File *file = file_of(base);
    Error error;
    no_error(&error);
    size_t length = 0;
    bool done = true;
    file->read_count++;
    if (file->target.has_gate && !is_passive(file)) done = file->vfs->hooks.gate_before_read(file, &error);
    if (!done) return report(file, &error);
    if (file->is_opening && file->level == SQLITE_LOCK_NONE) {
        done = read_unlocked(file, buffer, (size_t)amount, (uint64_t)offset, &length, &error);
    } else {
        bool was_elsewhere = file->is_elsewhere;
        file->is_opening = file->is_elsewhere = false;
        if (was_elsewhere && amount == 16 && offset == 24) {
            /* SQLite compares these bytes with those of its cache, which another volume may have in common: no
            ** database has 16 bytes 0xff there (pager.c, sqlite3PagerSharedLock). */
            memset(buffer, 0xff, 16);
            return SQLITE_OK;
        }
        done = handle_read(file->handle, buffer, (size_t)amount, (uint64_t)offset, &length, &error);
    }
    if (!done) return report(file, &error);
    if (length == (size_t)amount) return SQLITE_OK;
    memset((char *)buffer + length, 0, (size_t)amount - length);
    return SQLITE_IOERR_SHORT_READ;
}

static int refuse_unlocked(File *file)
{
    Error error = {0};
    fail(&error, E_OTHER, "it is written to without a lock: open it without nolock=1");
    return report(file, &error);
}

static int file_write(sqlite3_file *base, const void *data, int amount, sqlite3_int64 offset)
{
    File *file = file_of(base);
    Error error;
    no_error(&error);
    if (!file->handle->is_writing) return refuse_unlocked(file);
    bool done = handle_write(file->handle, data, (size_t)amount, (uint64_t)offset, &error);
    return done ? SQLITE_OK : report(file, &error);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    File *file = file_of(base);
    Error error = {0};
    if (!file->handle->is_writing) return refuse_unlocked(file);
    return handle_truncate(file->handle, (uint64_t)size, &error) ? SQLITE_OK : report(file, &error);
}

static int file_sync(sqlite3_file *base, int flags)
{
    (void)base;
    (void)flags;
    return SQLITE_OK; /* a commit is synced once, when it is published */
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    *size = (sqlite3_int64)handle_size(file_of(base)->handle);
    return SQLITE_OK;
}

static int file_fetch(sqlite3_file *base, sqlite3_int64 offset, int amount, void **at)
{
    File *file = file_of(base);
    *at = NULL;
    if (is_better_read(file->handle, (uint32_t)(offset >> SLOT_SHIFT))) return SQLITE_OK;
    if (file->level == SQLITE_LOCK_NONE || file->is_elsewhere || !is_passive(file)) return SQLITE_OK;
    *at = (void *)(uintptr_t)handle_fetch(file->handle, (uint64_t)offset, (size_t)amount);
    file->read_count += *at != NULL;
    return SQLITE_OK;
}

static int file_unfetch(sqlite3_file *base, sqlite3_int64 offset, void *at)
{
    (void)base;
    (void)offset;
    (void)at;
    return SQLITE_OK;
}

/* --- controls ----------------------------------------------------------------------------------------------------- */
static int publish(File *file)
{
    Error error;
    no_error(&error);
    bool done = true;
    if (file->target.has_gate && !is_passive(file)) done = file->vfs->hooks.gate_before_commit(file, &error);
    if (done && !handle_is_unchanged(file->handle)) {
        if (file->target.has_copies) done = file->vfs->hooks.before_copies(file, &error);
        done = done && handle_publish(file->handle, file->durability, &error);
        if (done && file->target.has_copies) done = file->vfs->hooks.committed(file, &error);
    }
    return done ? SQLITE_OK : file->vfs->hooks.report(file->vfs, file->name, &error, true);
}

static bool equals(const char *text, const char *word)
{
    while (*text && isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1])) length--;
    if (length != strlen(word)) return false;
    for (size_t n = 0; n < length; n++)
        if (toupper((unsigned char)text[n]) != word[n]) return false;
    return true;
}

static int pragma(File *file, char **arguments)
{
    static const struct {
        const char *word;
        int level;
    } levels[] = {{"0", 0}, {"OFF", 0}, {"NO", 0}, {"FALSE", 0}, {"1", 1}, {"NORMAL", 1}, {"2", 2}, {"FULL", 2},
                  {"3", 2}, {"EXTRA", 2}};
    static const struct {
        const char *word, *mode;
    } modes[] = {{"DELETE", "delete"}, {"TRUNCATE", "truncate"}, {"PERSIST", "persist"}, {"MEMORY", "memory"}};
    const char *name = arguments[1], *value = arguments[2];
    if (!value) return SQLITE_NOTFOUND;
    if (equals(name, "SYNCHRONOUS")) {
        for (size_t n = 0; n < sizeof levels / sizeof *levels; n++)
            if (equals(value, levels[n].word) && file->level == SQLITE_LOCK_NONE) file->durability = levels[n].level;
    } else if (equals(name, "JOURNAL_MODE")) {
        if (equals(value, "WAL") || equals(value, "OFF")) { /* they would bypass the pool: the present mode stays */
            arguments[0] = file->vfs->api->mprintf("%s", file->journal_mode);
            return SQLITE_OK;
        }
        for (size_t n = 0; n < sizeof modes / sizeof *modes; n++)
            if (equals(value, modes[n].word) && !file->handle->is_writing) file->journal_mode = modes[n].mode;
    }
    return SQLITE_NOTFOUND;
}

static int file_control(sqlite3_file *base, int operation, void *argument)
{
    File *file = file_of(base);
    sqlite3_int64 wanted;
    switch (operation) {
    case SQLITE_FCNTL_COMMIT_PHASETWO:
        return file->handle->is_writing ? publish(file) : SQLITE_OK;
    case SQLITE_FCNTL_PRAGMA:
        return pragma(file, argument);
    case SQLITE_FCNTL_MMAP_SIZE: /* the whole pool is mapped: any limit but 0 lets SQLite call xFetch */
        wanted = *(sqlite3_int64 *)argument;
        *(sqlite3_int64 *)argument = file->mmap_size;
        if (wanted >= 0) file->mmap_size = wanted;
        return SQLITE_OK;
    default:
        return SQLITE_NOTFOUND;
    }
}

static int file_sector_size(sqlite3_file *base)
{
    (void)base;
    return SLOT_BYTES;
}

static int file_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_SAFE_APPEND | SQLITE_IOCAP_SEQUENTIAL;
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */
static int file_close(sqlite3_file *base)
{
    File *file = file_of(base);
    Vfs *vfs = file->vfs;
    if (!store_is_orphan(vfs->store)) {
        pthread_mutex_lock(&vfs->guard);
        *file->link = file->next;
        if (file->next) file->next->link = file->link;
        pthread_mutex_unlock(&vfs->guard);
    }
    handle_close(file->handle);
    vfs->hooks.closed(vfs, &file->target);
    free(file->name);
    base->pMethods = NULL;
    vfs_release(vfs);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 3,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_is_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xFetch = file_fetch,
    .xUnfetch = file_unfetch,
};

static bool is_letter(char character)
{
    return (unsigned)((character | 0x20) - 'a') < 26;
}

static bool is_volume_name(const char *name)
{
    if (!is_letter(*name)) return false;
    while (is_letter(*name) || (unsigned)(*name - '0') < 10 || *name == '_' || *name == '-') name++;
    return !*name;
}

/* The name in the path of a volume or of its journal; NULL for a plain file. */
const char *volume_name(const Vfs *vfs, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (slash && (length != strlen(vfs->folder) || memcmp(path, vfs->folder, length) != 0) && length) return NULL;
    return is_volume_name(name) ? name : NULL;
}

/* A super-journal is a real file, since the journals of attached plain files refer to it: NAME-mjHHHHHH9HH */
static bool is_super_journal(const char *path)
{
    size_t length = strlen(path);
    if (length < 12) return false;
    const char *at = path + length - 12;
    if (memcmp(at, "-mj", 3) != 0 || at[9] != '9') return false;
    for (int n = 3; n < 12; n++)
        if (!isxdigit((unsigned char)at[n]) || islower((unsigned char)at[n])) return false;
    return true;
}

static int open_volume(Vfs *vfs, const char *path, const char *name, File *file, bool read_only)
{
    Error error = {0};
    memset(file, 0, sizeof *file);
    if (!vfs->hooks.open(vfs, name, read_only, &file->target, &error)) return vfs->hooks.report(vfs, name, &error, false);
    read_only = read_only || file->target.read_only;
    file->name = strdup(name);
    file->handle = file->name ? handle_open(vfs->store, &file->target.row, read_only, file->target.owner, &error) : NULL;
    if (!file->handle) {
        if (!file->name) fail(&error, E_MEMORY, "out of memory");
        vfs->hooks.closed(vfs, &file->target);
        free(file->name);
        return vfs->hooks.report(vfs, name, &error, false);
    }
    file->vfs = vfs;
    file->durability = vfs->durability;
    file->journal_mode = "delete";
    file->is_opening = true;
    file->base.pMethods = &methods;
    __atomic_add_fetch(&vfs->reference_count, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&vfs->guard);
    file->next = vfs->files;
    file->link = &vfs->files;
    if (file->next) file->next->link = &file->next;
    vfs->files = file;
    pthread_mutex_unlock(&vfs->guard);
    if (vfs->api->uri_boolean(path, "nolock", 0) || vfs->api->uri_boolean(path, "immutable", 0)) {
        int code = file_lock(&file->base, SQLITE_LOCK_SHARED); /* SQLite will not lock it: pin the present version */
        if (code != SQLITE_OK) {
            file_close(&file->base);
            return code;
        }
    }
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *base, sqlite3_filename path, sqlite3_file *file, int flags, int *out_flags)
{
    Vfs *vfs = base->pAppData;
    const char *name = path ? volume_name(vfs, path) : NULL;
    Error error = {0};
    file->pMethods = NULL;
    if (!name) {
        if (path && !vfs->hooks.may_open(vfs, path, &error)) return vfs->hooks.report(vfs, path, &error, false);
        return vfs->plain->xOpen(vfs->plain, path, file, flags, out_flags);
    }
    if (flags & SQLITE_OPEN_SUPER_JOURNAL) {
        mkdir(vfs->folder, 0700);
        return vfs->plain->xOpen(vfs->plain, path, file, flags, out_flags);
    }
    if (flags & SQLITE_OPEN_WAL) {
        fail(&error, E_CANT_OPEN, "cluster '%s' has no write-ahead log", name);
        return vfs->hooks.report(vfs, name, &error, false);
    }
    if (!(flags & SQLITE_OPEN_MAIN_DB)) {
        memory_file_open(file);
        if (out_flags) *out_flags = flags;
        return SQLITE_OK;
    }
    if (vfs->reads_only) flags = SQLITE_OPEN_READONLY | (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    if (out_flags) *out_flags = flags;
    return open_volume(vfs, path, name, file_of(file), flags & SQLITE_OPEN_READONLY);
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_directory)
{
    Vfs *vfs = base->pAppData;
    if (volume_name(vfs, path) && !is_super_journal(path)) return SQLITE_OK;
    return vfs->plain->xDelete(vfs->plain, path, sync_directory);
}

static int vfs_access(sqlite3_vfs *base, const char *path, int flags, int *result)
{
    Vfs *vfs = base->pAppData;
    if (!volume_name(vfs, path) || is_super_journal(path)) return vfs->plain->xAccess(vfs->plain, path, flags, result);
    *result = 0; /* no volume has a journal */
    return SQLITE_OK;
}

/* Without following links: a descriptor of a store's file in /proc must not become the path of a volume. */
static int absolute_path(const char *name, int room, char *full)
{
    while (name[0] == '.' && name[1] == '/') name += 2;
    size_t length = 0;
    if (*name != '/') {
        if (!getcwd(full, (size_t)room)) return SQLITE_CANTOPEN;
        length = strlen(full);
        full[length < (size_t)room ? length++ : 0] = '/';
    }
    if (length + strlen(name) + 1 > (size_t)room) return SQLITE_CANTOPEN;
    strcpy(full + length, name);
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *base, const char *name, int room, char *full)
{
    Vfs *vfs = base->pAppData;
    if (!is_volume_name(name) && !volume_name(vfs, name)) return absolute_path(name, room, full);
    const char *slash = strrchr(name, '/');
    if (slash) name = slash + 1;
    if (strlen(vfs->folder) + strlen(name) + 2 > (size_t)room) return SQLITE_CANTOPEN;
    strcpy(full, vfs->folder);
    strcat(full, "/");
    strcat(full, name);
    return SQLITE_OK;
}

static void *vfs_dl_open(sqlite3_vfs *base, const char *path)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    return plain->xDlOpen(plain, path);
}

static void vfs_dl_error(sqlite3_vfs *base, int room, char *text)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    plain->xDlError(plain, room, text);
}

static void (*vfs_dl_symbol(sqlite3_vfs *base, void *library, const char *symbol))(void)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    return plain->xDlSym(plain, library, symbol);
}

static void vfs_dl_close(sqlite3_vfs *base, void *library)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    plain->xDlClose(plain, library);
}

static int vfs_randomness(sqlite3_vfs *base, int amount, char *buffer)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    return plain->xRandomness(plain, amount, buffer);
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    return plain->xSleep(plain, microseconds);
}

static int vfs_current_time(sqlite3_vfs *base, double *now)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    return plain->xCurrentTime(plain, now);
}

static int vfs_current_time_ms(sqlite3_vfs *base, sqlite3_int64 *now)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    return plain->xCurrentTimeInt64(plain, now);
}

static int vfs_last_error(sqlite3_vfs *base, int room, char *text)
{
    sqlite3_vfs *plain = ((Vfs *)base->pAppData)->plain;
    return plain->xGetLastError ? plain->xGetLastError(plain, room, text) : 0;
}

Vfs *vfs_new(const sqlite3_api_routines *api, sqlite3_vfs *plain, Store *store, const char *name, const char *folder,
             int durability, const VfsHooks *hooks, void *owner)
{
    Vfs *vfs = calloc(1, sizeof *vfs);
    if (!vfs) return NULL;
    vfs->api = api;
    vfs->plain = plain;
    vfs->store = store;
    vfs->durability = durability;
    vfs->reads_only = store && store->read_only;
    vfs->hooks = *hooks;
    vfs->owner = owner;
    vfs->reference_count = 1;
    vfs->name = strdup(name);
    vfs->folder = strdup(folder);
    pthread_mutex_init(&vfs->guard, NULL);
    if (store) store_acquire(store);
    int bytes = (int)sizeof(File);
    if (memory_file_bytes > bytes) bytes = memory_file_bytes;
    if (plain->szOsFile > bytes) bytes = plain->szOsFile;
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = bytes,
        .mxPathname = 4096,
        .zName = vfs->name,
        .pAppData = vfs,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xDlOpen = vfs_dl_open,
        .xDlError = vfs_dl_error,
        .xDlSym = vfs_dl_symbol,
        .xDlClose = vfs_dl_close,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_current_time_ms,
    };
    return vfs;
}

int vfs_register(Vfs *vfs)
{
    return vfs->api->vfs_register(&vfs->base, 0);
}

void vfs_unregister(Vfs *vfs)
{
    vfs->api->vfs_unregister(&vfs->base);
}

void vfs_release(Vfs *vfs)
{
    if (__atomic_sub_fetch(&vfs->reference_count, 1, __ATOMIC_SEQ_CST)) return;
    if (vfs->store) store_release(vfs->store);
    pthread_mutex_destroy(&vfs->guard);
    free(vfs->name);
    free(vfs->folder);
    vfs->hooks.released(vfs->owner);
    free(vfs);
}

void vfs_each(Vfs *vfs, void (*visit)(File *file, void *context), void *context)
{
    pthread_mutex_lock(&vfs->guard);
    for (File *file = vfs->files; file; file = file->next) visit(file, context);
    pthread_mutex_unlock(&vfs->guard);
}
