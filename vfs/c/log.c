/* A VFS for the catalog: it writes the frames that a transaction adds to a write-ahead log at once.
**
** SQLite writes a frame in two calls, its header of 24 bytes and its page, and a catalog transaction has half a dozen of
** them.  Files of other kinds are opened by SQLite's own VFS in place, and cost nothing.
**
**     F1  The connection does not spill pages of a transaction to the log (PRAGMA cache_spill = OFF).  So SQLite writes
**         frames in a commit only, all of them one after the other, and the last one is that which commits: nothing is
**         kept back between two calls of a program, when other connections may write to the log.
**     F2  What is kept back is written with the page of the frame that commits, and before anything else is done with the
**         log.  SQLite publishes the frames, in the shared index of the log, only after that call, so their readers find
**         them, and a process that dies afterwards leaves them for recovery.  An error of the write is the error of that
**         call, and the commit fails.
**
** The log has the format of https://sqlite.org/fileformat2.html, section 4.1.
*/
#include "vfs.h"

#include <stdlib.h>
#include <string.h>

enum {
    FRAME_HEADER_BYTES = 24,
    COMMIT_BYTE = 4, /* in the header of a frame: the size of the database in pages if the frame commits, or zeros */
    KEPT_MAX = 16 << 10,
};

typedef struct LogFile {
    sqlite3_file base;
    sqlite3_file *plain;
    uint8_t *kept;
    int kept_bytes;
    sqlite3_int64 kept_at; /* their offset in the file */
    bool commits;          /* the page that is expected now is that of a frame which commits */
} LogFile;

static LogFile *log_of(sqlite3_file *file)
{
    return (LogFile *)(void *)file;
}

/* Write what was kept back (F2). */
static int flush(LogFile *log)
{
    int bytes = log->kept_bytes;
    log->kept_bytes = 0;
    log->commits = false;
    return bytes ? log->plain->pMethods->xWrite(log->plain, log->kept, bytes, log->kept_at) : SQLITE_OK;
}

static int log_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
    LogFile *log = log_of(file);
    bool is_header = amount == FRAME_HEADER_BYTES, is_next = offset == log->kept_at + log->kept_bytes;
    if (log->kept_bytes && (!is_next || log->kept_bytes + amount > KEPT_MAX)) {
        int result = flush(log);
        if (result != SQLITE_OK) return result;
    }
    if ((!is_header && !log->kept_bytes) || amount > KEPT_MAX)
        return log->plain->pMethods->xWrite(log->plain, data, amount, offset);
    if (!log->kept_bytes) log->kept_at = offset;
    memcpy(log->kept + log->kept_bytes, data, (size_t)amount);
    log->kept_bytes += amount;
    if (is_header) {
        static const uint8_t none[4];
        log->commits = memcmp((const uint8_t *)data + COMMIT_BYTE, none, sizeof none) != 0;
        return SQLITE_OK;
    }
    return log->commits ? flush(log) : SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *buffer, int amount, sqlite3_int64 offset)
{
    LogFile *log = log_of(file);
    int result = flush(log);
    return result != SQLITE_OK ? result : log->plain->pMethods->xRead(log->plain, buffer, amount, offset);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    LogFile *log = log_of(file);
    int result = flush(log);
    return result != SQLITE_OK ? result : log->plain->pMethods->xTruncate(log->plain, size);
}

static int log_sync(sqlite3_file *file, int flags)
{
    LogFile *log = log_of(file);
    int result = flush(log);
    return result != SQLITE_OK ? result : log->plain->pMethods->xSync(log->plain, flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size)
{
    LogFile *log = log_of(file);
    int result = flush(log);
    return result != SQLITE_OK ? result : log->plain->pMethods->xFileSize(log->plain, size);
}

static int log_control(sqlite3_file *file, int operation, void *argument)
{
    LogFile *log = log_of(file);
    int result = flush(log);
    return result != SQLITE_OK ? result : log->plain->pMethods->xFileControl(log->plain, operation, argument);
}

/* Nothing of a committed transaction is kept back here (F2); an uncommitted end of the log is of no use. */
static int log_close(sqlite3_file *file)
{
    LogFile *log = log_of(file);
    free(log->kept);
    log->kept = NULL;
    return log->plain->pMethods->xClose(log->plain);
}

static int log_lock(sqlite3_file *file, int level)
{
    return log_of(file)->plain->pMethods->xLock(log_of(file)->plain, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return log_of(file)->plain->pMethods->xUnlock(log_of(file)->plain, level);
}

static int log_check_reserved(sqlite3_file *file, int *is_reserved)
{
    return log_of(file)->plain->pMethods->xCheckReservedLock(log_of(file)->plain, is_reserved);
}

static int log_sector_size(sqlite3_file *file)
{
    return log_of(file)->plain->pMethods->xSectorSize(log_of(file)->plain);
}

static int log_characteristics(sqlite3_file *file)
{
    return log_of(file)->plain->pMethods->xDeviceCharacteristics(log_of(file)->plain);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

/* --- the VFS ------------------------------------------------------------------------------------------------------ */
static sqlite3_vfs *plain_of(sqlite3_vfs *base)
{
    return ((Vfs *)base->pAppData)->plain;
}

static int open_file(sqlite3_vfs *base, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
    sqlite3_vfs *plain = plain_of(base);
    file->pMethods = NULL;
    if (!(flags & SQLITE_OPEN_WAL)) return plain->xOpen(plain, path, file, flags, out_flags);
    LogFile *log = log_of(file);
    *log = (LogFile){.plain = (sqlite3_file *)(void *)(log + 1), .kept = malloc(KEPT_MAX)};
    log->plain->pMethods = NULL;
    int result = log->kept ? plain->xOpen(plain, path, log->plain, flags, out_flags) : SQLITE_NOMEM;
    if (log->plain->pMethods) {
        file->pMethods = &log_methods; /* SQLite closes a file that has methods, although opening it failed */
    } else {
        free(log->kept);
    }
    return result;
}

static int delete_file(sqlite3_vfs *base, const char *path, int sync_directory)
{
    return plain_of(base)->xDelete(plain_of(base), path, sync_directory);
}

static int access_file(sqlite3_vfs *base, const char *path, int flags, int *result)
{
    return plain_of(base)->xAccess(plain_of(base), path, flags, result);
}

static int full_pathname(sqlite3_vfs *base, const char *path, int room, char *full)
{
    return plain_of(base)->xFullPathname(plain_of(base), path, room, full);
}

static void nothing_owned(void *owner)
{
    (void)owner;
}

/* One for the process, which is never freed, since databases refer to it; SQLite's own VFS is not either. */
static Vfs *only_one(const sqlite3_api_routines *api)
{
    static const VfsHooks hooks = {.released = nothing_owned};
    static Vfs *vfs;
    sqlite3_vfs *plain = vfs ? NULL : api->vfs_find(LOG_VFS_PLAIN);
    if (plain && (vfs = vfs_new(api, plain, NULL, "clusterdb-log", "", 0, &hooks, NULL))) {
        vfs->base.szOsFile = (int)sizeof(LogFile) + plain->szOsFile;
        vfs->base.xOpen = open_file;
        vfs->base.xDelete = delete_file;
        vfs->base.xAccess = access_file;
        vfs->base.xFullPathname = full_pathname;
    }
    return vfs;
}

const char *log_vfs_begin(const sqlite3_api_routines *api)
{
    Vfs *vfs = only_one(api);
    if (!vfs || vfs_register(vfs) != SQLITE_OK) return NULL;
    vfs->reference_count++; /* registered for that many */
    return vfs->name;
}

void log_vfs_end(const sqlite3_api_routines *api)
{
    Vfs *vfs = only_one(api);
    if (vfs && --vfs->reference_count == 1) vfs_unregister(vfs);
}
