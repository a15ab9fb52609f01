/* Opening a store's files for reading: the twin of vfs/store.py, which has the order, and of vfs/storage/seals.py (K1).
**
** Derived files are used as they are, or the store is refused: only clusterdb rebuilds them.
*/
#include "standalone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

#define FORMAT 2u
#define MAP_MAGIC 0x3270616d74736c63ull     /* "clstmap2" */
#define READERS_MAGIC 0x3372647274736c63ull /* "clstrdr3" */

/* --- locks -------------------------------------------------------------------------------------------------------- */
static bool set_lock(int fd, short kind, int64_t byte)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static bool wait_for_lock(int fd, int64_t byte, Error *error)
{
    struct timespec pause = {0, 5000000};
    for (int waited_ms = 0; !set_lock(fd, F_WRLCK, byte); waited_ms += 5) {
        if (errno != EAGAIN && errno != EACCES) return fail_os(error, errno, "locking the file 'locks' failed");
        if (waited_ms > 1000 * lock_patience_s)
            return fail(error, E_BUSY,
                        "another process has held a lock of the store for %g s (byte %lld of its file 'locks'): if it "
                        "is stopped, resume or kill it",
                        lock_patience_s, (long long)byte);
        nanosleep(&pause, NULL);
    }
    return true;
}

/* --- the stamp of a clean close ----------------------------------------------------------------------------------- */
static uint64_t mixed(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

static uint64_t in_ns(struct timespec time)
{
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* As content_stamp() of seals.py; 0 if the state of a file is unknown. */
static uint64_t content_stamp(const char *directory)
{
    static const char *const content[] = {"pool", "catalog.db", "catalog.db-wal"};
    const size_t log = 2;
    uint64_t stamp = 0;
    int folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return 0;
    for (size_t file = 0; file < sizeof content / sizeof *content; file++) {
        struct stat status;
        if (fstatat(folder, content[file], &status, AT_SYMLINK_NOFOLLOW) == 0) {
            const uint64_t numbers[] = {status.st_dev, status.st_ino, (uint64_t)status.st_size, in_ns(status.st_mtim),
                                        file == log ? 0 : in_ns(status.st_ctim)};
            for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) stamp = mixed(stamp ^ numbers[n]);
        } else if (errno == ENOENT) {
            stamp = mixed(stamp);
        } else {
            close(folder);
            return 0;
        }
    }
    close(folder);
    return stamp | 1;
}

void files_stamp(int holder, const char *directory, Store *store)
{
    if (!set_lock(holder, F_WRLCK, LOCK_OPEN)) return; /* another process opens the store, and will close it */
    if (set_lock(holder, F_WRLCK, LOCK_STORE)) set_word(&map_header(store)->closed, content_stamp(directory));
    set_lock(holder, F_UNLCK, LOCK_OPEN);
}

/* --- the derived files -------------------------------------------------------------------------------------------- */
static bool read_boot_id(uint64_t halves[2])
{
    char text[40] = "";
    uint8_t bytes[16];
    int digits = 0, fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    for (ssize_t n = 0; n < length && digits < 32; n++) {
        const char digit[2] = {text[n], 0};
        char *end;
        unsigned long value = strtoul(digit, &end, 16);
        if (end == digit) continue;
        bytes[digits / 2] = (uint8_t)(digits % 2 ? bytes[digits / 2] << 4 | value : value);
        digits++;
    }
    memcpy(halves, bytes, sizeof bytes);
    return digits == 32;
}

static int64_t size_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (int64_t)status.st_size : -1;
}

/* Whether the derived files are of this boot and this pool; ``stamp``: the one they must have, 0 for any. */
static bool are_valid(const StoreFiles *files, uint64_t stamp)
{
    MapHeader map;
    ReadersHeader readers;
    struct stat pool;
    uint64_t boot[2];
    if (pread(files->map, &map, sizeof map, 0) != sizeof map || fstat(files->pool, &pool) != 0) return false;
    if (pread(files->readers, &readers, sizeof readers, 0) != sizeof readers || !read_boot_id(boot)) return false;
    return map.magic == MAP_MAGIC && map.boot_low == boot[0] && map.boot_high == boot[1] &&
           map.device == pool.st_dev && map.inode == pool.st_ino && (!stamp || map.closed == stamp) &&
           readers.magic == READERS_MAGIC && size_of(files->readers) == READERS_BYTES &&
           map.slot_count <= SLOT_COUNT_MAX &&
           size_of(files->map) >= (int64_t)(MAP_HEADER_BYTES + 2 * map.slot_count) &&
           pool.st_size >= (int64_t)(map.slot_count << SLOT_SHIFT);
}

/* --- the header of the pool --------------------------------------------------------------------------------------- */
typedef struct PoolHeader {
    char magic[8];
    uint32_t format, slot_bytes;
    uint8_t store_id[STORE_ID_BYTES];
    uint32_t crc;
} PoolHeader;

static bool check_header(int fd, uint8_t store_id[STORE_ID_BYTES], Error *error)
{
    uint8_t sectors[2 * SECTOR_BYTES] = {0};
    PoolHeader header;
    if (pread(fd, sectors, sizeof sectors, 0) < 0) return fail_os(error, errno, "reading the file 'pool' failed");
    memcpy(&header, sectors, sizeof header);
    if (memcmp(header.magic, "clstpool", sizeof header.magic) != 0)
        return fail(error, E_CANT_OPEN, "its store is not one: the file 'pool' is empty or has another header");
    if (header.format > FORMAT)
        return fail(error, E_CANT_OPEN,
                    "its store has format %u, and this extension reads format %u: use that of "
                    "a newer release of clusterdb", header.format, FORMAT);
    if (header.crc != crc32_of(&header, offsetof(PoolHeader, crc)) || header.slot_bytes != SLOT_BYTES)
        return fail(error, E_CORRUPTION,
                    "slot 0 (pool header) of its store fails its checksum: run cldb --store '@' check");
    if (header.format < FORMAT || memcmp(sectors, sectors + SECTOR_BYTES, SECTOR_BYTES) != 0)
        return fail(error, E_CANT_OPEN, "its store has format %u, and this extension reads format %u: run "
                    "cldb --store '@' ls, which upgrades it", header.format, FORMAT);
    memcpy(store_id, header.store_id, STORE_ID_BYTES);
    return true;
}

/* --- the files ---------------------------------------------------------------------------------------------------- */
/* Other users who can write to the directory could replace the files, also while they are mapped. */
static bool check_directory(const char *directory, Error *error)
{
    struct stat status;
    if (stat(directory, &status) != 0) return fail_os(error, errno, "its store cannot be opened");
    if (status.st_uid != geteuid() && status.st_uid != 0 && geteuid() != 0)
        return fail(error, E_CANT_OPEN,
                    "its store belongs to another user (uid %u), who could replace its files: open a "
                    "store of your own", status.st_uid);
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return fail(error, E_CANT_OPEN,
                    "other users can write to the directory of its store (mode %04o), and "
                    "replace the files: run chmod go-w '@'", status.st_mode & 07777);
    return true;
}

static bool open_file(int folder, const char *name, int access, int *fd, Error *error)
{
    *fd = openat(folder, name, access | O_CLOEXEC | O_NOFOLLOW);
    if (*fd >= 0) return true;
    if (errno == ENOENT && strcmp(name, "pool") == 0)
        return fail(error, E_CANT_OPEN, "its store is not one: the directory has no file 'pool'");
    if (errno == ENOENT)
        return fail(error, E_CANT_OPEN,
                    "its store has no file '%s': run cldb --store '@' check, which rebuilds it", name);
    if (errno == EROFS)
        return fail(error, E_CANT_OPEN, "its store is on a file system that is mounted read-only, where readers cannot "
                    "register: use clusterdb, or copy the store to another directory");
    char action[60];
    snprintf(action, sizeof action, "opening the file '%s' of its store failed", name);
    return fail_os(error, errno, action);
}

/* The caller holds the open lock. */
static bool check_derived_files(const StoreFiles *files, int holder, const char *directory, bool is_alone, Error *error)
{
    if (!wait_for_lock(holder, LOCK_POOL, error)) return false; /* the pool might grow or shrink meanwhile */
    bool valid = are_valid(files, is_alone ? content_stamp(directory) : 0);
    set_lock(holder, F_UNLCK, LOCK_POOL);
    if (valid) return true;
    if (is_alone)
        return fail(error, E_CANT_OPEN,
                    "its store was not closed cleanly, or was copied, or the machine was restarted: run cldb "
                    "--store '@' check, which recovers it");
    return fail(error, E_CANT_OPEN,
                "the files 'map' and 'readers' of its store must be rebuilt, but other processes have it open: close "
                "those, then run cldb --store '@' check");
}

bool files_open(StoreFiles *files, int *holder, const Catalog *catalog, Error *error)
{
    *files = (StoreFiles){.pool = -1, .map = -1, .readers = -1, .locks = -1, .is_durable = true};
    *holder = -1;
    int folder = open(catalog->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 && errno == ENOTDIR)
        return fail(error, E_CANT_OPEN, "its store is not one: it is a file, not a directory");
    if (folder < 0) return fail_os(error, errno, "its store cannot be opened");
    uint8_t store_id[STORE_ID_BYTES];
    bool done = open_file(folder, "pool", O_RDONLY, &files->pool, error) &&
                check_directory(catalog->directory, error) && check_header(files->pool, store_id, error) &&
                open_file(folder, "locks", O_RDWR, &files->locks, error) &&
                open_file(folder, "locks", O_RDWR, holder, error) &&
                open_file(folder, "map", O_RDWR, &files->map, error) &&
                open_file(folder, "readers", O_RDWR, &files->readers, error) &&
                wait_for_lock(*holder, LOCK_OPEN, error);
    close(folder);
    if (!done) return false;
    bool is_alone = set_lock(*holder, F_WRLCK, LOCK_STORE);
    if (!check_derived_files(files, *holder, catalog->directory, is_alone, error)) return false;
    if (!catalog_check(catalog, store_id, error)) return false;
    if (!set_lock(*holder, F_RDLCK, LOCK_STORE)) return fail_os(error, errno, "locking the file 'locks' failed");
    set_lock(*holder, F_UNLCK, LOCK_OPEN);
    return true;
}

void files_close(StoreFiles *files)
{
    int *all[] = {&files->pool, &files->map, &files->readers, &files->locks};
    for (int n = 0; n < 4; n++) {
        if (*all[n] >= 0) close(*all[n]);
        *all[n] = -1;
    }
}
