/* Sessions, their locks and the slots reserved through them: the twin of vfs/storage/sessions.py (S1 to S5).
**
** Locks are open-file-description locks (fcntl(2)): every session has its own description of the file locks, so that
** threads of one process exclude each other as processes do, and the kernel releases the locks of a dead owner.  The
** lock and the writer lock of a volume are words of shared memory (L1 to L4 of vfs/format/locks.py).
*/
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

#define SPARE_SLOTS 32
#define RUN_PAUSE 64
#define IDLE_SESSIONS_MAX 8
uint32_t session_rows_max = SESSION_ROWS;
double lock_patience_s = 60;

/* How long a writer that begins waits for who frees slots of its volume: SQLite itself does not wait where a transaction
** that has read becomes the writer. */
static const double RECLAIM_PATIENCE_S = 1;

/* --- locks -------------------------------------------------------------------------------------------------------- */
static int set_lock(int fd, short kind, int64_t byte)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock);
}

int session_lock_try(Session *session, int64_t byte)
{
    if (set_lock(session->fd, F_WRLCK, byte) == 0) return 1;
    return errno == EAGAIN || errno == EACCES ? 0 : -1;
}

void session_unlock(Session *session, int64_t byte)
{
    set_lock(session->fd, F_UNLCK, byte);
}

/* True also if the system cannot tell: nobody is declared dead by mistake. */
bool session_is_held_by_other(Session *session, int64_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(session->fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

typedef int (*TryLock)(Session *session, int64_t number);

/* Try until it succeeds: 1; 0 after so many seconds; -1 is an error. */
static int wait_until(Session *session, TryLock try, int64_t number, double patience_s, Error *error)
{
    struct timespec begin, now, pause = {0, 20000};
    int locked = try(session, number);
    if (locked == 1) return 1;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (; locked != 1; locked = try(session, number)) {
        if (locked < 0) return fail_os(error, errno, "locking failed"), -1;
        if (!session->store->hooks.deliver_signals(session->store, error)) return -1;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((double)(now.tv_sec - begin.tv_sec) + 1e-9 * (double)(now.tv_nsec - begin.tv_nsec) > patience_s) return 0;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 5000000) pause.tv_nsec *= 2;
    }
    return 1;
}

/* These locks are held for very short times: after lock_patience_s their owner must be stopped. */
static bool wait_for(Session *session, TryLock try, int64_t number, int64_t byte, Error *error)
{
    int locked = wait_until(session, try, number, lock_patience_s, error);
    if (!locked)
        return fail(error, E_BUSY,
                    "another process has held a lock of the store for %g s (byte %lld of its file 'locks'): if it is "
                    "stopped, resume or kill it",
                    lock_patience_s, (long long)byte);
    return locked > 0;
}

bool session_lock_wait(Session *session, int64_t byte, Error *error)
{
    return wait_for(session, session_lock_try, byte, byte, error);
}

/* --- the locks of a volume ---------------------------------------------------------------------------------------- */
/* Whether the session that a token names lives (L1). */
static bool is_alive(Session *session, uint64_t token)
{
    uint32_t row = (uint32_t)(token & ((1u << TOKEN_ROW_BITS) - 1)) - 1;
    if (row >= SESSION_ROWS) return false; /* damaged */
    uint64_t generation = get_word(&session_record(session->store, row)->generation);
    uint64_t epoch = token >> TOKEN_EPOCH_SHIFT;
    if (lock_token(row, generation, epoch) != token) return false;
    return row == session->row || session_is_held_by_other(session, session_lock(row));
}

/* Take a word that is free, or whose owner is dead, or is the writer of an earlier epoch. */
static bool take_word(Session *session, uint64_t *word, uint64_t epoch)
{
    uint64_t token = lock_token(session->row, session->generation, epoch), owner = get_word(word);
    if (owner && owner >> TOKEN_EPOCH_SHIFT == token >> TOKEN_EPOCH_SHIFT && is_alive(session, owner)) return false;
    return swap_word(word, owner, token);
}

static int try_volume(Session *session, int64_t index)
{
    VolumeRecord *record = volume_record(session->store, (uint32_t)index);
    if (!take_word(session, &record->lock, 0)) return 0;
    if (!get_word(&record->plain)) return 1;
    set_word(&record->lock, 0);
    int locked = session_lock_try(session, volume_lock((uint32_t)index)); /* L3 */
    if (locked != 1) return locked;
    set_word(&record->plain, 0); /* whoever set it has let go of the byte */
    bool taken = take_word(session, &record->lock, 0);
    session_unlock(session, volume_lock((uint32_t)index));
    return taken;
}

int session_try_volume(Session *session, uint32_t index)
{
    return try_volume(session, index);
}

bool session_lock_volume(Session *session, uint32_t index, Error *error)
{
    return wait_for(session, try_volume, index, volume_lock(index), error);
}

void session_unlock_volume(Session *session, uint32_t index)
{
    set_word(&volume_record(session->store, index)->lock, 0);
}

static int is_volume_free(Session *session, int64_t index)
{
    VolumeRecord *record = volume_record(session->store, (uint32_t)index);
    uint64_t owner = get_word(&record->lock);
    if (owner && is_alive(session, owner)) return 0;
    return !(get_word(&record->plain) && session_is_held_by_other(session, volume_lock((uint32_t)index)));
}

int session_await_volume(Session *session, uint32_t index, Error *error)
{
    return wait_until(session, is_volume_free, index, RECLAIM_PATIENCE_S, error);
}

static bool is_written_by_word(Session *session, const uint64_t *word, uint64_t epoch)
{
    uint64_t owner = get_word(word);
    return owner && owner >> TOKEN_EPOCH_SHIFT == lock_token(0, 0, epoch) >> TOKEN_EPOCH_SHIFT &&
           owner != lock_token(session->row, session->generation, epoch) && is_alive(session, owner);
}

int session_try_writer(Session *session, uint32_t index, uint64_t epoch)
{
    VolumeRecord *record = volume_record(session->store, index);
    if (get_word(&record->epoch) != epoch) return 1; /* fenced: it takes no lock from its successor, and will fail */
    if (!get_word(&record->plain_writer)) {
        if (!take_word(session, &record->writer, epoch)) return 0;
        if (!get_word(&record->plain_writer)) return 1;
        session_unlock_writer(session, index, epoch);
    }
    int locked = session_lock_try(session, writer_lock(index, epoch)); /* L4 */
    if (locked != 1) return locked;
    session->has_writer_byte = true;
    if (!is_written_by_word(session, &record->writer, epoch)) return 1;
    session_unlock_writer(session, index, epoch);
    return 0;
}

void session_unlock_writer(Session *session, uint32_t index, uint64_t epoch)
{
    if (session->has_writer_byte) session_unlock(session, writer_lock(index, epoch));
    session->has_writer_byte = false;
    swap_word(&volume_record(session->store, index)->writer, lock_token(session->row, session->generation, epoch), 0);
}

bool session_is_written_by_other(Session *session, uint32_t index, uint64_t epoch)
{
    VolumeRecord *record = volume_record(session->store, index);
    return is_written_by_word(session, &record->writer, epoch) ||
           (get_word(&record->plain_writer) && session_is_held_by_other(session, writer_lock(index, epoch)));
}

/* --- rows of the session table ------------------------------------------------------------------------------------ */
static bool take_row(Session *session, Error *error)
{
    Store *store = session->store;
    ReadersHeader *header = readers_header(store);
    if (!session_lock_wait(session, LOCK_POOL, error)) return false;
    uint64_t high = get_word(&header->session_high);
    if (high > SESSION_ROWS) high = SESSION_ROWS;
    bool taken = false;
    for (uint32_t row = 0; row < session_rows_max && !taken; row++) {
        SessionRecord *record = session_record(store, row);
        if (row < high && get_word(&record->owner)) continue;
        if (session_lock_try(session, session_lock(row)) != 1) continue;
        set_word(&record->volume, 0);
        set_word(&record->pin, 0);
        set_word(&record->publishing, 0);
        set_word(&record->heads, 0);
        set_word(&record->generation, get_word(&record->generation) + 1);
        session->generation = get_word(&record->generation);
        set_word(&record->owner, (uint64_t)getpid());
        if (row >= high) set_word(&header->session_high, row + 1);
        session->row = row;
        session->record = record;
        taken = true;
    }
    session_unlock(session, LOCK_POOL);
    return taken || fail(error, E_TOO_MANY_SESSIONS, "%u connections are open on this store", session_rows_max);
}

static void link_session(Session *session)
{
    Store *store = session->store;
    session->next = store->sessions;
    session->link = &store->sessions;
    if (session->next) session->next->link = &session->next;
    store->sessions = session;
}

static void unlink_session(Session *session)
{
    *session->link = session->next;
    if (session->next) session->next->link = session->link;
}

Session *session_open(Store *store, Error *error)
{
    pthread_mutex_lock(&store->guard);
    Session *session = store->idle;
    if (session) {
        store->idle = session->next_idle;
        store->idle_count--;
    }
    pthread_mutex_unlock(&store->guard);
    if (session) return session;
    session = calloc(1, sizeof *session);
    if (!session) {
        fail(error, E_MEMORY, "out of memory");
        return NULL;
    }
    session->store = store;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", store->locks_fd);
    session->fd = open(path, O_RDWR | O_CLOEXEC);
    if (session->fd < 0) {
        fail_os(error, errno, "opening the file 'locks' failed");
        free(session);
        return NULL;
    }
    if (!take_row(session, error)) {
        close(session->fd);
        free(session);
        return NULL;
    }
    pthread_mutex_lock(&store->guard);
    link_session(session);
    pthread_mutex_unlock(&store->guard);
    return session;
}

/* Releases the row, its lock and unused slots. */
static void destroy(Session *session)
{
    session_release_slots(session);
    set_word(&session->record->pin, 0);
    set_word(&session->record->volume, 0);
    set_word(&session->record->owner, 0);
    close(session->fd);
    slots_free(&session->reserved);
    slots_free(&session->reserved_run);
    free(session);
}

void session_close(Session *session)
{
    Store *store = session->store;
    if (store_is_orphan(store)) { /* the parent owns the row and the lock; a mutex may be held by a thread of it */
        if (session->fd >= 0) close(session->fd);
        session->fd = -1;
        return;
    }
    session_release_slots(session);
    set_word(&session->record->pin, 0);
    set_word(&session->record->volume, 0);
    pthread_mutex_lock(&store->guard);
    bool keeps = store->idle_count < IDLE_SESSIONS_MAX;
    if (keeps) {
        session->next_idle = store->idle;
        store->idle = session;
        store->idle_count++;
    } else {
        unlink_session(session);
    }
    pthread_mutex_unlock(&store->guard);
    if (!keeps) destroy(session);
}

void store_close_sessions(Store *store)
{
    if (store_is_orphan(store)) return;
    pthread_mutex_lock(&store->guard);
    Session *session = store->idle;
    store->idle = NULL;
    store->idle_count = 0;
    for (Session *at = session; at; at = at->next_idle) unlink_session(at);
    pthread_mutex_unlock(&store->guard);
    while (session) {
        Session *next = session->next_idle;
        destroy(session);
        session = next;
    }
}

/* In the child of a fork: the parent owns the locks, and must not lose them by what the child does. */
void store_forget_locks(Store *store)
{
    for (Session *session = store->sessions; session; session = session->next) {
        if (session->fd >= 0) close(session->fd);
        session->fd = -1;
    }
    *(uint32_t *)(uintptr_t)store->fork_word = 0;
}

void session_attach(Session *session, uint32_t volume_index)
{
    session->volume_index = volume_index;
    set_word(&session->record->volume, volume_index + 1ull);
}

/* --- slots -------------------------------------------------------------------------------------------------------- */
bool session_prepare_run(Session *session, size_t count, bool *is_run, Error *error)
{
    Slots *reserved = &session->reserved_run;
    *is_run = count && count <= reserved->count && reserved->at[count - 1] - reserved->at[0] == count - 1;
    if (*is_run || !count) return true;
    if (session->run_pause) {
        session->run_pause--;
        return true;
    }
    if (!session_lock_wait(session, LOCK_POOL, error)) return false;
    slots_give_back(session->store, reserved->at, reserved->count);
    reserved->count = 0;
    bool done =
        slots_take_near_run(session->store, session->row, count, SPARE_SLOTS, session->run_near, reserved, error);
    session_unlock(session, LOCK_POOL);
    *is_run = reserved->count != 0;
    if (*is_run)
        session->run_near = reserved->at[0];
    else if (done)
        session->run_pause = RUN_PAUSE;
    return done;
}

bool session_take_slots(Session *session, size_t count, bool as_run, Slots *slots, Error *error)
{
    Slots *reserved = as_run ? &session->reserved_run : &session->reserved;
    if (!slots_reserve(slots, count)) return fail(error, E_MEMORY, "out of memory");
    if (count > reserved->count) {
        if (!session_lock_wait(session, LOCK_POOL, error)) return false;
        bool done;
        if (as_run) { /* a new run, rather than the end of one and the beginning of another */
            slots_give_back(session->store, reserved->at, reserved->count);
            reserved->count = 0;
            done =
                slots_take_run(session->store, session->row, count, SPARE_SLOTS, session->run_near, reserved, error);
        } else {
            size_t spare = 2 * session->spare_slots;
            if (spare < count) spare = count;
            if (spare > SPARE_SLOTS) spare = SPARE_SLOTS;
            session->spare_slots = spare;
            done = slots_take_free(session->store, session->row, count - reserved->count + spare, reserved, error);
        }
        session_unlock(session, LOCK_POOL);
        if (!done) return false;
        slots_sort(reserved);
        if (as_run) session->run_near = reserved->at[0];
    }
    memcpy(slots->at + slots->count, reserved->at, count * sizeof *slots->at);
    slots->count += count;
    reserved->count -= count;
    memmove(reserved->at, reserved->at + count, reserved->count * sizeof *reserved->at);
    return true;
}

void session_release_slots(Session *session)
{
    session->spare_slots = 0;
    session->run_near = session->run_pause = 0;
    Slots *both[] = {&session->reserved, &session->reserved_run};
    for (int n = 0; n < 2; n++) {
        slots_give_back(session->store, both[n]->at, both[n]->count);
        both[n]->count = 0;
    }
}
