/* Calls of the system that change a store, the clock, and the mappings of an open store: the twin of device.py. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define POOL_RESERVED (256ull << 30)
#define MAP_RESERVED (POOL_RESERVED / SLOT_BYTES * 2 + MAP_HEADER_BYTES)

Calls calls = {system_write, system_sync, system_now_ns};
bool (*reach_hook)(const char *point, Error *error);
int points_armed;

/* --- writing ------------------------------------------------------------------------------------------------------ */
bool system_write(Store *store, int fd, const struct iovec *parts, int count, uint64_t offset, Error *error)
{
    (void)store;
    struct iovec left[64];
    if (count > 64) {
        for (int first = 0; first < count; first += 64) {
            int some = count - first < 64 ? count - first : 64;
            if (!system_write(store, fd, parts + first, some, offset, error)) return false;
            for (int n = first; n < first + some; n++) offset += parts[n].iov_len;
        }
        return true;
    }
    memcpy(left, parts, (size_t)count * sizeof *parts);
    struct iovec *at = left;
    while (count) {
        ssize_t written = pwritev(fd, at, count, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            if (errno == ENOSPC || errno == EDQUOT)
                return fail(error, E_POOL_FULL, "no space left on the device of the page pool: %s", strerror(errno));
            return fail_os(error, errno, "writing to the pool failed");
        }
        if (written == 0) return fail_os(error, EIO, "a write to the pool made no progress");
        offset += (uint64_t)written;
        while (count && (size_t)written >= at->iov_len) {
            written -= (ssize_t)at->iov_len;
            at++;
            count--;
        }
        if (count) {
            at->iov_base = (char *)at->iov_base + written;
            at->iov_len -= (size_t)written;
        }
    }
    return true;
}

bool system_sync(Store *store, int fd, Error *error)
{
    (void)store;
    return fdatasync(fd) == 0 || fail_os(error, errno, "fdatasync failed");
}

bool write_at(Store *store, int fd, const void *data, size_t length, uint64_t offset, Error *error)
{
    struct iovec part = {(void *)(uintptr_t)data, length};
    return calls.write(store, fd, &part, 1, offset, error);
}

void store_failed(Store *store, const char *reason)
{
    store->hooks.failed(store, reason);
    __atomic_store_n(&store->has_failed, 1, __ATOMIC_SEQ_CST);
}

bool require_writable(Store *store, Error *error)
{
    if (!has_failed(store)) return true;
    pthread_mutex_lock(&store->guard);
    fail(error, E_STORE_FAILED, "%s", store->failure);
    pthread_mutex_unlock(&store->guard);
    return false;
}

void store_set_failure(Store *store, const char *reason)
{
    pthread_mutex_lock(&store->guard);
    snprintf(store->failure, sizeof store->failure, "%s", reason);
    pthread_mutex_unlock(&store->guard);
    __atomic_store_n(&store->has_failed, *reason != 0, __ATOMIC_SEQ_CST);
}

/* A failed sync is final: the kernel may have dropped the dirty pages (fsync(2)). */
bool pool_sync(Store *store, Error *error)
{
    if (!store->is_durable) return true;
    if (!require_writable(store, error)) return false;
    uint64_t slot_count = slot_count_of(store);
    if (!calls.sync(store, store->pool_fd, error)) {
        if (error->kind != E_OS) {
            store_failed(store, "fdatasync of the page pool failed");
            return false;
        }
        char reason[150];
        snprintf(reason, sizeof reason, "fdatasync of the page pool failed (%s)", strerror(error->number));
        store_failed(store, reason);
        return require_writable(store, error);
    }
    uint64_t *synced = &map_header(store)->synced;
    if (get_word(synced) < slot_count) set_word(synced, slot_count);
    return true;
}

/* --- time --------------------------------------------------------------------------------------------------------- */
int64_t system_now_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* As Clock.tick_ns of vfs/storage/clock.py. */
int64_t clock_tick_ns(Store *store)
{
    uint64_t *word = &readers_header(store)->clock_offset;
    int64_t wall = calls.now_ns(CLOCK_REALTIME), steady = calls.now_ns(CLOCK_BOOTTIME), offset = (int64_t)get_word(word);
    if (wall > steady + offset) {
        set_word(word, (uint64_t)(wall - steady));
        return wall;
    }
    return steady + offset;
}

/* --- mappings ----------------------------------------------------------------------------------------------------- */
typedef struct Mapping {
    void *at;
    size_t length;
    struct Mapping *next;
} Mapping;

static uint64_t size_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* Maps a file with room to grow, so that pointers stay valid; where address space is limited, only what there is. */
static void *map_file(int fd, int protection, uint64_t reserved, size_t *mapped)
{
    uint64_t size = size_of(fd);
    uint64_t sizes[] = {size > reserved / 2 ? 4 * size : reserved, 4 * size, size};
    for (int n = 0; n < 3; n++) {
        void *at = mmap(NULL, sizes[n], protection, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (at != MAP_FAILED) {
            *mapped = sizes[n];
            return at;
        }
    }
    return NULL;
}

static bool replace_mapping(Store *store, int fd, int protection, uint8_t **at, size_t *mapped, uint64_t needed)
{
    if (needed <= *mapped) return true;
    Mapping *former = malloc(sizeof *former);
    size_t length = 0;
    void *larger = former ? map_file(fd, protection, 2 * needed, &length) : NULL;
    if (!larger || length < needed) {
        if (larger) munmap(larger, length);
        free(former);
        return false;
    }
    *former = (Mapping){*at, *mapped, store->former};
    store->former = former;
    __atomic_store_n(at, (uint8_t *)larger, __ATOMIC_SEQ_CST);
    *mapped = length;
    return true;
}

uint64_t store_look_again(Store *store, uint64_t count)
{
    pthread_mutex_lock(&store->guard);
    uint64_t map_bytes = size_of(store->map_fd), pool_count = size_of(store->pool_fd) >> SLOT_SHIFT;
    uint64_t map_count = map_bytes > MAP_HEADER_BYTES ? (map_bytes - MAP_HEADER_BYTES) / 2 : 0;
    if (count > pool_count) count = pool_count;
    if (count > map_count) count = map_count;
    if (!replace_mapping(store, store->map_fd, PROT_READ | PROT_WRITE, &store->map, &store->map_mapped,
                         MAP_HEADER_BYTES + 2 * count) ||
        !replace_mapping(store, store->pool_fd, PROT_READ, (uint8_t **)(uintptr_t)&store->pool, &store->pool_mapped,
                         count << SLOT_SHIFT)) {
        if (count > store->pool_mapped >> SLOT_SHIFT) count = store->pool_mapped >> SLOT_SHIFT;
        if (count > (store->map_mapped - MAP_HEADER_BYTES) / 2) count = (store->map_mapped - MAP_HEADER_BYTES) / 2;
    }
    if (count > store->slots_seen) __atomic_store_n(&store->slots_seen, count, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&store->guard);
    return count;
}

bool store_has_whole_pool(Store *store)
{
    for (;;) { /* it grows before the word does, and shrinks after it */
        uint64_t count = get_word(&map_header(store)->slot_count), present = size_of(store->pool_fd) >> SLOT_SHIFT;
        if (count <= present) return true;
        if (get_word(&map_header(store)->slot_count) == count) return false;
    }
}

static const uint32_t *new_fork_word(void)
{
    long page = sysconf(_SC_PAGESIZE);
    uint32_t *word = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (word == MAP_FAILED) return NULL;
    *word = 1;
#ifdef MADV_WIPEONFORK
    if (madvise(word, (size_t)page, MADV_WIPEONFORK) != 0) *word = 2; /* an old kernel: store_forget_locks is called */
#endif
    return word;
}

bool store_is_orphan(const Store *store)
{
    return __atomic_load_n(store->fork_word, __ATOMIC_RELAXED) == 0;
}

Store *store_open(const StoreFiles *files, const Hooks *hooks, void *owner, Error *error)
{
    Store *store = calloc(1, sizeof *store);
    if (!store) {
        fail(error, E_MEMORY, "out of memory");
        return NULL;
    }
    const int sources[] = {files->pool, files->map, files->readers, files->locks};
    int *copies[] = {&store->pool_fd, &store->map_fd, &store->readers_fd, &store->locks_fd};
    for (int n = 0; n < 4; n++) *copies[n] = fcntl(sources[n], F_DUPFD_CLOEXEC, 3); /* not to outlive the opener's */
    store->is_durable = files->is_durable;
    store->read_only = files->read_only;
    store->verify_reads = files->verify_reads;
    store->hooks = *hooks;
    store->owner = owner;
    store->reference_count = 1;
    pthread_mutex_init(&store->guard, NULL);
    if (size_of(store->map_fd) < MAP_HEADER_BYTES || size_of(store->readers_fd) < READERS_BYTES) {
        fail(error, E_CORRUPTION, "its files 'map' and 'readers' are shorter than their tables");
        store_release(store);
        return NULL;
    }
    store->pool = map_file(store->pool_fd, PROT_READ, POOL_RESERVED, &store->pool_mapped);
    store->map = map_file(store->map_fd, PROT_READ | PROT_WRITE, MAP_RESERVED, &store->map_mapped);
    void *readers = mmap(NULL, READERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, store->readers_fd, 0);
    store->readers = readers != MAP_FAILED ? readers : NULL;
    store->fork_word = new_fork_word();
    if (!store->pool || !store->map || !store->readers || !store->fork_word) {
        fail_os(error, errno, "mapping the files of the store failed");
        store_release(store);
        return NULL;
    }
    return store;
}

void store_acquire(Store *store)
{
    __atomic_add_fetch(&store->reference_count, 1, __ATOMIC_SEQ_CST);
}

void store_release(Store *store)
{
    if (__atomic_sub_fetch(&store->reference_count, 1, __ATOMIC_SEQ_CST)) return;
    if (store->fork_word) store_close_sessions(store); /* otherwise opening it has failed */
    reclaim_forget(store);
    while (store->former) {
        Mapping *former = store->former;
        store->former = former->next;
        munmap(former->at, former->length);
        free(former);
    }
    if (store->pool) munmap((void *)(uintptr_t)store->pool, store->pool_mapped);
    if (store->map) munmap(store->map, store->map_mapped);
    if (store->readers) munmap(store->readers, READERS_BYTES);
    if (store->fork_word) munmap((void *)(uintptr_t)store->fork_word, (size_t)sysconf(_SC_PAGESIZE));
    const int files[] = {store->pool_fd, store->map_fd, store->readers_fd, store->locks_fd};
    for (int n = 0; n < 4; n++)
        if (files[n] >= 0) close(files[n]);
    pthread_mutex_destroy(&store->guard);
    void (*released)(void *) = store->hooks.released;
    void *owner = store->owner;
    free(store);
    released(owner);
}

const uint8_t *read_slot(Store *store, uint32_t slot, Error *error)
{
    if (slot >= slot_count_of(store)) {
        fail(error, E_CORRUPTION, "slot %u is past the end of the pool", slot);
        return NULL;
    }
    return pool_of(store) + ((uint64_t)slot << SLOT_SHIFT);
}
