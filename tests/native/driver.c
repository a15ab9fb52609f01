/* Races of the data plane in C, without Python: threads of several processes read and write the volumes of one store.
**
**     driver SECONDS PROCESSES THREADS PAGES DIRECTORY VOLUME:TABLE_INDEX:HEAD_SLOT:BASE ...
**
** tests/native/race.py creates the store and its empty volumes.  The first third of the threads write: each commit puts
** one number, larger than the one before, at the beginning of all pages; some roll back instead.  The others read: all
** pages of a pinned version must have the same number, which never decreases in a thread.  Readers keep some pages as
** pointers into the mapping and look at them again before they unpin.
**
** Built with -fsanitize=thread.  The locks of the store are locks of the kernel, which the sanitizer does not know:
** __wrap_fcntl tells it that they order the threads of a process.  Bytes of the pool are written by pwritev and read
** through the mapping; what orders them are pins, and what shows an error of theirs is a wrong number.
*/
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VOLUMES_MAX 16
#define PREPARED_SLOTS 1024u

static VolumeRow rows[VOLUMES_MAX];
static int volume_count, thread_count;
static uint32_t page_count;
static time_t end_time;
static Session *keeper;
static uint64_t commits, rollbacks, reads, busy;

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "driver %d: ", (int)getpid());
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(3);
}

/* --- locks of the kernel, as the sanitizer sees them -------------------------------------------------------------- */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#else
#define __tsan_acquire(address) (void)(address)
#define __tsan_release(address) (void)(address)
#endif

static char lock_marks[4096];
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);

int __wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command != F_OFD_SETLK) return __real_fcntl(fd, command, argument);
    const struct flock *lock = argument;
    char *mark = &lock_marks[(uint64_t)lock->l_start * 2654435761u % sizeof lock_marks];
    if (lock->l_type == F_UNLCK) __tsan_release(mark);
    int result = __real_fcntl(fd, command, argument);
    if (result == 0 && lock->l_type != F_UNLCK) __tsan_acquire(mark);
    return result;
}

/* --- what the opener of a store provides -------------------------------------------------------------------------- */
static bool hook_grow(Store *store, uint64_t count, Error *error)
{
    uint64_t slots = get_word(&map_header(store)->slot_count) + (count < PREPARED_SLOTS ? PREPARED_SLOTS : count);
    if (ftruncate(store->pool_fd, (off_t)(slots << SLOT_SHIFT)) != 0 ||
        ftruncate(store->map_fd, (off_t)(MAP_HEADER_BYTES + 2 * slots)) != 0)
        return fail_os(error, errno, "growing the pool failed");
    set_word(&map_header(store)->slot_count, slots);
    return true;
}

static bool hook_durable_pins(Store *store, const VolumeRow *row, Pins *pins, Error *error)
{
    (void)store, (void)row, (void)pins, (void)error;
    return true; /* the volumes have no clones and no snapshots */
}

static bool hook_bury(Store *store, uint32_t session_row)
{
    (void)store, (void)session_row;
    return false;
}

static bool hook_begins_publishing(Handle *handle, Error *error)
{
    (void)error;
    __atomic_store_n(&handle->store->keeper_row, keeper->row, __ATOMIC_RELAXED);
    return true;
}

static bool hook_find_record(Handle *handle, uint64_t version, Version *record, bool *found, Error *error)
{
    (void)handle, (void)version, (void)record, (void)error;
    *found = false;
    return true;
}

static bool hook_failed(Store *store, const char *reason)
{
    (void)store;
    die("the store failed: %s", reason);
}

static bool hook_deliver_signals(Store *store, Error *error)
{
    (void)store, (void)error;
    return true;
}

static void hook_released(void *owner)
{
    (void)owner;
}

static bool hook_seal(Handle *handle, Error *error)
{
    (void)handle, (void)error;
    return true;
}

static bool unexpected(Handle *handle, uint64_t published, Error *error)
{
    (void)published;
    return fail(error, E_OTHER, "a stale record in the head of volume %" PRIu64, handle->row.volume);
}

static const Hooks hooks = {
    .grow = hook_grow,
    .durable_pins = hook_durable_pins,
    .bury = hook_bury,
    .begins_publishing = hook_begins_publishing,
    .find_record = hook_find_record,
    .seal = hook_seal,
    .wipe_stale_record = unexpected,
    .failed = hook_failed,
    .deliver_signals = hook_deliver_signals,
    .released = hook_released,
};

/* --- the work ----------------------------------------------------------------------------------------------------- */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void count_one(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* The number in all pages of the pinned version; 0 if it is empty. */
static uint64_t read_number(Handle *handle, uint64_t *pages, const uint8_t **seen)
{
    Error error = {0};
    *pages = page_count_of(handle_size(handle));
    uint64_t first = 0;
    for (uint64_t page = 0; page < *pages; page++) {
        uint64_t words[2];
        size_t length;
        if (!handle_read(handle, words, sizeof words, page << SLOT_SHIFT, &length, &error)) die("%s", error.text);
        if (page == 0) first = words[0];
        if (length != sizeof words || words[0] != first || words[1] != page)
            die("volume %" PRIu64 " version %" PRIu64 ": page %" PRIu64 " has %" PRIu64 " (page %" PRIu64
                "), page 0 has %" PRIu64,
                handle->row.volume, handle->version.version, page, words[0], words[1], first);
        seen[page] = handle_fetch(handle, page << SLOT_SHIFT, SLOT_BYTES);
    }
    return first;
}

static void read_once(Handle *handle, uint64_t *last)
{
    const uint8_t *seen[256];
    Error error = {0};
    uint64_t pages;
    if (!handle_pin(handle, &error)) die("pin: %s", error.text);
    uint64_t number = read_number(handle, &pages, seen);
    if (number < *last) die("volume %" PRIu64 ": %" PRIu64 " after %" PRIu64, handle->row.volume, number, *last);
    *last = number;
    for (uint64_t page = 0; page < pages; page++) {
        uint64_t word;
        if (!seen[page]) continue;
        memcpy(&word, seen[page], sizeof word);
        if (word != number) die("page %" PRIu64 " changed under a pin: %" PRIu64 " to %" PRIu64, page, number, word);
    }
    handle_unpin(handle);
    count_one(&reads);
}

/* Whether an error is one that a program would meet as SQLITE_BUSY. */
static bool is_busy(const Error *error)
{
    return error->kind == E_WRITER_BUSY || error->kind == E_SNAPSHOT_MOVED;
}

static void write_once(Handle *handle, uint64_t *last, uint32_t *random)
{
    const uint8_t *seen[256];
    Error error = {0};
    uint64_t pages, data[SLOT_BYTES / 8] = {0};
    if (!handle_pin(handle, &error)) die("pin: %s", error.text);
    data[0] = read_number(handle, &pages, seen) + 1;
    if (data[0] <= *last) die("volume %" PRIu64 ": %" PRIu64 " after %" PRIu64, handle->row.volume, data[0] - 1, *last);
    if (!handle_begin_write(handle, &error)) {
        if (!is_busy(&error)) die("begin: %s", error.text);
        count_one(&busy);
    } else {
        bool commits_it = next_random(random) % 8 != 0;
        uint32_t count = commits_it ? page_count : 1 + next_random(random) % page_count;
        for (uint64_t page = 0; page < count; page++) {
            data[1] = page;
            if (!handle_write(handle, data, SLOT_BYTES, page << SLOT_SHIFT, &error)) die("write: %s", error.text);
        }
        if (commits_it) {
            if (!handle_publish(handle, DURABILITY_NORMAL, &error)) die("publish: %s", error.text);
            *last = data[0];
            if (read_number(handle, &pages, seen) != data[0]) die("the writer does not see its commit");
        } else if (!handle_truncate(handle, SLOT_BYTES, &error)) {
            die("truncate: %s", error.text);
        }
        count_one(commits_it ? &commits : &rollbacks);
        handle_end(handle);
    }
    handle_unpin(handle);
}

typedef struct Worker {
    pthread_t thread;
    Store *store;
    int number;
    uint32_t random;
} Worker;

static void *work(void *argument)
{
    Worker *worker = argument;
    uint64_t last[VOLUMES_MAX] = {0};
    bool writes = worker->number % 3 == 0;
    Error error = {0};
    while (time(NULL) < end_time) {
        int which = (int)(next_random(&worker->random) % (uint32_t)volume_count);
        Handle *handle = handle_open(worker->store, &rows[which], !writes, NULL, &error);
        if (!handle) die("open: %s", error.text);
        for (int round = 0; round < 40; round++)
            if (writes)
                write_once(handle, &last[which], &worker->random);
            else
                read_once(handle, &last[which]);
        handle_close(handle);
    }
    return NULL;
}

static Store *open_store(const char *directory)
{
    static const char *const names[] = {"pool", "map", "readers", "locks"};
    int files[4];
    Error error = {0};
    for (int n = 0; n < 4; n++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, names[n]);
        files[n] = open(path, O_RDWR | O_CLOEXEC);
        if (files[n] < 0) die("%s: %s", path, strerror(errno));
    }
    StoreFiles opened = {.pool = files[0], .map = files[1], .readers = files[2], .locks = files[3]};
    Store *store = store_open(&opened, &hooks, NULL, &error);
    if (!store) die("%s", error.text);
    for (int n = 0; n < 4; n++) close(files[n]);
    return store;
}

static void run_process(const char *directory, uint32_t seed)
{
    Error error = {0};
    Store *store = open_store(directory);
    Worker *workers = calloc((size_t)thread_count, sizeof *workers);
    keeper = session_open(store, &error);
    if (!workers || !keeper) die("%s", error.text);
    set_word(&keeper->record->publishing, KEEPS_SUPERSEDED);
    for (int n = 0; n < thread_count; n++) {
        workers[n] = (Worker){.store = store, .number = n, .random = seed * 7919u + (uint32_t)n + 1};
        if (pthread_create(&workers[n].thread, NULL, work, &workers[n])) die("no thread");
    }
    for (int n = 0; n < thread_count; n++) pthread_join(workers[n].thread, NULL);
    printf("%" PRIu64 " commits, %" PRIu64 " rollbacks, %" PRIu64 " busy, %" PRIu64 " reads, %zu slots wait\n", commits,
           rollbacks, busy, reads, reclaim_waiting_count(store));
    fflush(stdout);
    session_close(keeper);
    store_close_sessions(store);
    store_release(store);
    free(workers);
}

int main(int count, char **words)
{
    if (count < 7 || count - 6 > VOLUMES_MAX) die("arguments: see the head of the source");
    end_time = time(NULL) + atoi(words[1]);
    int process_count = atoi(words[2]);
    thread_count = atoi(words[3]);
    page_count = (uint32_t)atoi(words[4]);
    if (page_count > 256) die("at most 256 pages");
    for (volume_count = 0; volume_count < count - 6; volume_count++) {
        VolumeRow *row = &rows[volume_count];
        if (sscanf(words[6 + volume_count], "%" SCNu64 ":%" SCNu32 ":%" SCNu32 ":%" SCNu64, &row->volume,
                   &row->table_index, &row->head_slot, &row->base.version) != 4)
            die("no volume: %s", words[6 + volume_count]);
        row->base.volume = row->volume;
        row->base.durable = row->base.version;
    }
    for (int n = 0; n < process_count; n++) {
        pid_t child = fork();
        if (child < 0) die("no process");
        if (!child) {
            run_process(words[5], (uint32_t)n + 1);
            return 0; /* not _exit: the sanitizer reports what it found by the exit code */
        }
    }
    int worst = 0, status;
    while (wait(&status) > 0) {
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (code > worst) worst = code;
    }
    return worst;
}
