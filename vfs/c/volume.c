/* Handles on volumes: the twin of vfs/storage/reader.py, writer.py and volume.py, which have V1 to V5.
**
** Format 2: the change counter of SQLite (bytes 24..27 and 92..95 of the first page) is not stored.  It is the number
** of the version that is read, and put into what is read of the first page (vfs/format/page_one.py).
*/
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

size_t staged_pages_max = 2048;

enum { INDEX_INTERIOR = 2, TABLE_INTERIOR = 5 }; /* the first byte of a page, https://www.sqlite.org/fileformat2.html#b_tree_pages */

static const uint8_t zeros[SLOT_BYTES];
static const char fenced[] = "the connection was terminated by a failover, a crash or a stop: open a new connection";

/* --- the first page ----------------------------------------------------------------------------------------------- */
static bool is_database(const uint8_t *page)
{
    return memcmp(page, "SQLite format 3", 16) == 0;
}

static void put_counter(uint8_t *at, uint64_t version)
{
    for (int n = 0; n < 4; n++) at[n] = (uint8_t)(version >> (24 - 8 * n));
}

/* Put the change counter into ``length`` bytes at offset ``within`` of the first page. */
static void show_counter(uint8_t *buffer, size_t within, size_t length, uint64_t version)
{
    uint8_t counter[4];
    put_counter(counter, version);
    for (int field = 0; field < 2; field++)
        for (size_t n = 0; n < 4; n++) {
            size_t at = (field ? 92 : 24) + n;
            if (at >= within && at - within < length) buffer[at - within] = counter[n];
        }
}

/* Clear what is not stored, and name a rollback journal as the file's format (the database may have been in WAL mode). */
static void clear_counter(uint8_t *page)
{
    memset(page + 24, 0, 4);
    memset(page + 92, 0, 4);
    page[18] = page[19] = 1;
}

/* Whether a page would be stored as these bytes. */
static bool equals_stored(const uint8_t *page, const uint8_t *stored, bool is_first)
{
    if (!is_first) return memcmp(page, stored, SLOT_BYTES) == 0;
    return memcmp(page, stored, 18) == 0 && stored[18] == 1 && stored[19] == 1 && memcmp(page + 20, stored + 20, 4) == 0 &&
           memcmp(page + 28, stored + 28, 64) == 0 && memcmp(page + 96, stored + 96, SLOT_BYTES - 96) == 0;
}

/* --- records ------------------------------------------------------------------------------------------------------ */
static const uint64_t *head_words(Store *store, const VolumeRow *row, int sector)
{
    const uint8_t *head = pool_of(store) + ((uint64_t)row->head_slot << SLOT_SHIFT);
    return (const uint64_t *)(const void *)(head + (unsigned)sector * SECTOR_BYTES);
}

/* V1: the record of a version is in a head sector, is the base, or is known to the opener of the store. */
static bool look_up_record(Handle *handle, uint64_t version, Version *record, bool *found, Error *error)
{
    Store *store = handle->store;
    *found = true;
    if (version == handle->row.base.version) {
        *record = handle->row.base;
        return true;
    }
    if (!store->read_only) {
        if (handle->row.head_slot >= slot_count_of(store))
            return fail(error, E_CORRUPTION, "slot %u is past the end of the pool", handle->row.head_slot);
        for (int sector = 0; sector < HEAD_SECTORS; sector++) {
            const uint64_t *words = head_words(store, &handle->row, sector);
            if (words[1] != handle->row.volume || words[2] != version) continue;
            uint8_t copy[SECTOR_BYTES]; /* a writer may be overwriting it */
            memcpy(copy, words, VERSION_RECORD_BYTES);
            if (unpack_version(copy, record) && record->volume == handle->row.volume && record->version == version)
                return true;
        }
    }
    return store->hooks.find_record(handle, version, record, found, error);
}

/* The record of a version, with numbers that can be true: a checksum may be right, or the catalog damaged. */
static bool find_record(Handle *handle, uint64_t version, Version *record, bool *found, Error *error)
{
    if (!look_up_record(handle, version, record, found, error)) return false;
    if (!*found || (page_count_of(record->size_bytes) <= SLOT_COUNT_MAX && record->root.birth <= record->version &&
                    record->version == version))
        return true;
    return fail(error, E_CORRUPTION, "the record of version %llu of volume %llu contradicts itself",
                (unsigned long long)version, (unsigned long long)handle->row.volume);
}

static void adopt(Handle *handle, const Version *version)
{
    handle->version = *version;
    handle->depth = depth_of(page_count_of(version->size_bytes));
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */
static bool take_row(Handle *handle, const VolumeRow *row, Error *error)
{
    if (!handle->store->read_only && !store_has_whole_pool(handle->store))
        return fail(error, E_CORRUPTION, "the file 'pool' is shorter than the file 'map' states");
    if (row->table_index >= VOLUME_ROWS || row->head_slot >= slot_count_of(handle->store))
        return fail(error, E_CORRUPTION, "its head slot %u is past the end of the pool", row->head_slot);
    handle->row = *row;
    editor_forget_kept(&handle->transaction.editor); /* those of another volume */
    session_attach(handle->session, row->table_index);
    handle->shared = volume_record(handle->store, row->table_index);
    handle->id = row->volume | (row->is_past ? MOVED : 0);
    handle->epoch = get_word(&handle->shared->epoch);
    memset(&handle->version, 0, sizeof handle->version); /* no version is loaded yet */
    handle->depth = 0;
    handle->history_fd = -1;
    handle->has_published = false;
    return true;
}

Handle *handle_open(Store *store, const VolumeRow *row, bool read_only, void *owner, Error *error)
{
    Session *session = session_open(store, error);
    if (!session) return NULL;
    Handle *handle = calloc(1, sizeof *handle);
    if (!handle) fail(error, E_MEMORY, "out of memory");
    if (handle) {
        handle->store = store;
        handle->session = session;
        handle->read_only = read_only;
        handle->owner = owner;
        if (take_row(handle, row, error)) {
            store_acquire(store);
            return handle;
        }
    }
    free(handle);
    session_close(session);
    return NULL;
}

static bool is_orphan(const Handle *handle, Error *error)
{
    if (!store_is_orphan(handle->store)) return false;
    fail(error, E_FORKED, "the connection was opened before a fork: open a new one in the child process");
    return true;
}

static void free_memory(Handle *handle)
{
    Transaction *transaction = &handle->transaction;
    for (size_t at = 0; at < transaction->staged.room; at++)
        if (transaction->staged.keys[at]) free(transaction->staged.values[at]);
    map_free(&transaction->staged);
    editor_free(&transaction->editor);
    slots_free(&transaction->taken);
    slots_free(&transaction->fresh);
    slots_free(&transaction->run);
    superseded_free(&transaction->kept);
    while (handle->spare_count) free(handle->spare_pages[--handle->spare_count]);
}

void handle_close(Handle *handle)
{
    Store *store = handle->store;
    Error error;
    if (!store_is_orphan(store)) {
        handle_end(handle);
        handle_unpin(handle);
        if (get_word(&handle->shared->id) != handle->id || get_word(&handle->shared->cleanup)) {
            store->hooks.on_close(handle);
        } else if (reclaim_knows(store, handle->row.volume) &&
                   session_try_volume(handle->session, handle->row.table_index) == 1) {
            if (get_word(&handle->shared->id) == handle->id) reclaim_drain(handle->session, &handle->row, &error);
            reclaim_forget_empty(store, handle->row.volume);
            session_unlock_volume(handle->session, handle->row.table_index);
        }
    }
    session_close(handle->session);
    free_memory(handle);
    free(handle);
    store_release(store);
}

/* --- pinning ------------------------------------------------------------------------------------------------------ */
void handle_unpin(Handle *handle)
{
    if (!store_is_orphan(handle->store)) set_word(&handle->session->record->pin, 0);
}

/* Follow the cluster, since the row does not name its volume any more, or fail with the reason for a refusal. */
static bool follow(Handle *handle, Error *error)
{
    VolumeRow row;
    bool found;
    if (!handle->store->hooks.successor(handle, true, &row, &found, error)) return false;
    if (!found) return true;
    uint64_t epoch = handle->epoch;
    if (!take_row(handle, &row, error)) return false;
    handle->epoch = epoch; /* the epochs of a cluster continue from volume to volume: a fenced handle stays fenced */
    handle->move_count++;
    return true;
}

bool handle_pin(Handle *handle, Error *error)
{
    if (is_orphan(handle, error)) return false;
    uint64_t *pin = &handle->session->record->pin;
    for (;;) {
        VolumeRecord *shared = handle->shared; /* another one after following the cluster */
        uint64_t version = get_word(&shared->version);
        set_word(pin, version);
        if (get_word(&shared->version) != version)
            continue; /* the head moved in between: the slots of the pinned version may be free already (S1) */
        if (get_word(&shared->id) != handle->id) {
            handle_unpin(handle);
            if (!follow(handle, error)) return false;
            continue;
        }
        if (get_word(&shared->epoch) != handle->epoch && !handle->read_only) {
            handle_unpin(handle);
            return fail(error, E_FENCED, "%s", fenced);
        }
        if (version && version == handle->version.version) return true;
        Version record;
        bool found;
        if (!find_record(handle, version, &record, &found, error)) {
            handle_unpin(handle);
            return false;
        }
        if (found) {
            adopt(handle, &record);
            return true;
        }
        if (get_word(&shared->version) == version) {
            handle_unpin(handle);
            return fail(error, E_CORRUPTION, "head slot %u of volume %llu has no record of version %llu",
                        handle->row.head_slot, (unsigned long long)handle->row.volume, (unsigned long long)version);
        }
    }
}

static bool pin_past(Handle *handle, uint64_t version, Error *error)
{
    VolumeRecord *shared = handle->shared;
    uint64_t oldest, head;
    Version record;
    bool found;
    for (;;) {
        set_word(&handle->session->record->pin, version);
        oldest = get_word(&shared->retained);
        head = get_word(&shared->version);
        if (get_word(&shared->id) == handle->id) break;
        handle_unpin(handle);
        VolumeRow row;
        if (!handle->store->hooks.successor(handle, false, &row, &found, error)) return false;
        if (found) return fail(error, E_DROPPED, "it was dropped");
    }
    if (version != head && !(oldest && oldest <= version && version <= head)) { /* H3 */
        handle_unpin(handle);
        return fail(error, E_PAST_GONE, "version %llu is no longer retained, or not yet published",
                    (unsigned long long)version);
    }
    if (!find_record(handle, version, &record, &found, error)) {
        handle_unpin(handle);
        return false;
    }
    if (!found) {
        handle_unpin(handle);
        return fail(error, E_PAST_GONE, "the record of version %llu was lost in a power failure",
                    (unsigned long long)version);
    }
    adopt(handle, &record);
    return true;
}

bool handle_pin_as_of(Handle *handle, int64_t time_ns, Error *error)
{
    if (is_orphan(handle, error)) return false;
    for (;;) {
        VolumeRecord *shared = handle->shared;
        uint64_t oldest = get_word(&shared->retained), head = get_word(&shared->version);
        if (get_word(&shared->id) != handle->id || !oldest) return handle_pin(handle, error);
        uint64_t least = oldest > handle->version.version ? oldest : handle->version.version;
        Version record;
        bool found;
        if (!handle->store->hooks.newest_at(handle, time_ns, least, head, &record, &found, error)) return false;
        if (pin_past(handle, found ? record.version : least, error)) return true;
        if (error->kind == E_DROPPED) return handle_pin(handle, error); /* the cluster switched meanwhile */
        if (error->kind != E_PAST_GONE) return false;
        handle->version.version = 0; /* it expired meanwhile */
    }
}

/* --- reading ------------------------------------------------------------------------------------------------------ */
uint64_t handle_size(const Handle *handle)
{
    return handle->is_writing ? handle->transaction.size_bytes : handle->version.size_bytes;
}

/* Has a page fetched that the pool file lacks.  The slot of such a page begins with zeros, and its checksum is of other
** bytes (abc.py, Residence).  Nearly every page begins with other bytes. */
static bool require_page(Store *store, const Entry *entry, Error *error)
{
    if (!entry->slot) return true;
    const uint8_t *data = pool_of(store) + ((uint64_t)entry->slot << SLOT_SHIFT);
    uint64_t first;
    memcpy(&first, data, sizeof first);
    if (first || crc32_of(data, SLOT_BYTES) == entry->crc) return true;
    return store->hooks.require_resident(store, entry->slot, entry->crc, error);
}

/* The slot of a page of the pinned version, 0 for a hole, checked against all checksums on its path. */
static bool verified_slot(Handle *handle, uint32_t page, uint32_t *slot, Error *error)
{
    Store *store = handle->store;
    Entry at = handle->version.root;
    for (int level = handle->depth - 1; level >= 0 && at.slot; level--) {
        const Entry *node = read_node(store, &at, level, page >> ((level + 1) * FANOUT_SHIFT), error);
        if (!node) return false;
        at = node[(page >> (level * FANOUT_SHIFT)) & (FANOUT - 1)];
    }
    *slot = at.slot;
    if (!at.slot) return true;
    const uint8_t *data = read_slot(store, at.slot, error);
    if (!data || !require_page(store, &at, error)) return false;
    if (crc32_of(data, SLOT_BYTES) != at.crc && !store->hooks.mend(handle, page, at.slot, at.crc, error)) return false;
    if (crc32_of(data, SLOT_BYTES) != at.crc)
        return fail(error, E_CORRUPTION, "page %u (slot %u) of version %llu fails its checksum", page, at.slot,
                    (unsigned long long)handle->version.version);
    return true;
}

static bool stored_slot(Handle *handle, uint32_t page, uint32_t *slot, Error *error)
{
    Store *store = handle->store;
    if (store->verify_reads) return verified_slot(handle, page, slot, error);
    uint64_t count = slot_count_of(store);
    const Entry *entry = &handle->version.root;
    uint32_t at = entry->slot;
    for (int level = handle->depth - 1; level >= 0 && at; level--) {
        if (at >= count)
            return fail(error, E_CORRUPTION,
                        "the page table of version %llu leads past the end of the pool at page %u",
                        (unsigned long long)handle->version.version, page);
        const Entry *node = (const Entry *)(const void *)(pool_of(store) + ((uint64_t)at << SLOT_SHIFT));
        entry = &node[(page >> (level * FANOUT_SHIFT)) & (FANOUT - 1)];
        at = entry->slot;
    }
    if (at >= count)
        return fail(error, E_CORRUPTION, "page %u names slot %u, past the end of the pool (%llu slots)", page, at,
                    (unsigned long long)count);
    *slot = at;
    return require_page(store, entry, error);
}

/* The slot of a page as the transaction, if there is one, leaves it (staged pages aside). */
static bool slot_of(Handle *handle, uint32_t page, uint32_t *slot, Error *error)
{
    if (!handle->is_writing) return stored_slot(handle, page, slot, error);
    Transaction *transaction = &handle->transaction;
    const Node *leaf = map_get(&transaction->editor.dirty[0], page >> FANOUT_SHIFT);
    if (leaf) { /* its slots were checked when it was copied */
        const Entry *entry = &leaf->children[page & (FANOUT - 1)];
        *slot = entry->slot;
        return require_page(handle->store, entry, error);
    }
    if (page < transaction->inherited_count) return stored_slot(handle, page, slot, error);
    *slot = 0;
    return true;
}

/* The 4096 bytes of a page, without its change counter; NULL with an error. */
static const uint8_t *stored_page(Handle *handle, uint32_t page, Error *error)
{
    uint32_t slot;
    if (!slot_of(handle, page, &slot, error)) return NULL;
    return slot ? pool_of(handle->store) + ((uint64_t)slot << SLOT_SHIFT) : zeros;
}

static const uint8_t *present_page(Handle *handle, uint32_t page, Error *error)
{
    const uint8_t *staged = handle->is_writing ? map_get(&handle->transaction.staged, page) : NULL;
    return staged ? staged : stored_page(handle, page, error);
}

bool handle_read(Handle *handle, void *buffer, size_t amount, uint64_t offset, size_t *length, Error *error)
{
    if (is_orphan(handle, error)) return false;
    uint64_t size = handle_size(handle);
    *length = 0;
    if (offset >= size) return true;
    if (amount > size - offset) amount = (size_t)(size - offset);
    uint8_t *at = buffer;
    for (size_t left = amount; left;) {
        uint32_t page = (uint32_t)(offset >> SLOT_SHIFT);
        size_t within = offset & (SLOT_BYTES - 1), part = SLOT_BYTES - within;
        if (part > left) part = left;
        const uint8_t *data = present_page(handle, page, error);
        if (!data) return false;
        memcpy(at, data + within, part);
        handle->last_page = page;
        if (page == 0 && within < 96 && is_database(data)) show_counter(at, within, part, handle->version.version);
        at += part;
        offset += part;
        left -= part;
    }
    *length = amount;
    return true;
}

/* The bytes of pages in the mapping; NULL if a page is staged, or a hole, or damaged, or they are not adjacent. */
static __attribute__((noinline)) const uint8_t *present_pages(Handle *handle, uint32_t page, uint32_t last)
{
    Error error;
    uint32_t first = 0;
    for (uint32_t at = page; at <= last; at++) {
        uint32_t slot;
        if (handle->is_writing && map_get(&handle->transaction.staged, at)) return NULL;
        if (!slot_of(handle, at, &slot, &error) || !slot) return NULL;
        if (at == page) first = slot;
        if (slot - first != at - page) return NULL;
    }
    return pool_of(handle->store) + ((uint64_t)first << SLOT_SHIFT);
}

/* The same for one page of the pinned version; NULL also if it begins with zeros, since it may be elsewhere then. */
static inline const uint8_t *pinned_page(const Handle *handle, uint32_t page)
{
    Store *store = handle->store;
    const uint8_t *pool = pool_of(store);
    uint64_t count = slot_count_of(store), first;
    uint32_t slot = handle->version.root.slot;
    for (int shift = (handle->depth - 1) * FANOUT_SHIFT; shift >= 0; shift -= FANOUT_SHIFT) {
        if (!slot || slot >= count) return NULL;
        const Entry *node = (const Entry *)(const void *)(pool + ((uint64_t)slot << SLOT_SHIFT));
        slot = node[(page >> shift) & (FANOUT - 1)].slot;
    }
    if (!slot || slot >= count) return NULL;
    const uint8_t *data = pool + ((uint64_t)slot << SLOT_SHIFT);
    memcpy(&first, data, sizeof first);
    return first ? data : NULL;
}

const uint8_t *handle_fetch(Handle *handle, uint64_t offset, size_t amount)
{
    uint32_t page = (uint32_t)(offset >> SLOT_SHIFT), last = (uint32_t)((offset + amount - 1) >> SLOT_SHIFT);
    uint64_t size = handle_size(handle);
    if (handle->store->verify_reads || !page || amount > size || offset > size - amount) return NULL;
    if (store_is_orphan(handle->store)) return NULL;
    const uint8_t *data = page == last && !handle->is_writing ? pinned_page(handle, page) : NULL;
    if (!data && !(data = present_pages(handle, page, last))) return NULL;
    data += offset & (SLOT_BYTES - 1);
    if (*data == INDEX_INTERIOR || *data == TABLE_INTERIOR) {
        handle->copied[page % COPIED_PAGES] = page;
        return NULL;
    }
    handle->last_page = last;
    return data;
}

/* --- write transactions ------------------------------------------------------------------------------------------- */
static void begin(Handle *handle)
{
    Transaction *transaction = &handle->transaction;
    transaction->base = handle->version;
    transaction->new_version = handle->version.version + 1;
    transaction->size_bytes = handle->version.size_bytes;
    transaction->inherited_count = page_count_of(handle->version.size_bytes);
    editor_begin(&transaction->editor, handle->store, &transaction->base, transaction->new_version);
    transaction->taken.count = 0;
    transaction->counter_moved = false;
    transaction->is_over = false;
}

static uint8_t *new_page(Handle *handle)
{
    return handle->spare_count ? handle->spare_pages[--handle->spare_count] : malloc(SLOT_BYTES);
}

static void free_page(Handle *handle, uint8_t *page)
{
    if (!page) return;
    if (handle->spare_count < (int)(sizeof handle->spare_pages / sizeof *handle->spare_pages))
        handle->spare_pages[handle->spare_count++] = page;
    else
        free(page);
}

static void discard_staged(Handle *handle)
{
    Map *staged = &handle->transaction.staged;
    for (size_t at = 0; staged->count && at < staged->room; at++)
        if (staged->keys[at]) free_page(handle, staged->values[at]);
    map_clear(staged);
}

static bool require_present(Handle *handle, Error *error)
{
    VolumeRow row;
    bool found = false;
    if (get_word(&handle->shared->id) != handle->id) {
        if (!handle->store->hooks.successor(handle, false, &row, &found, error)) return false;
        if (found)
            return fail(error, E_SNAPSHOT_MOVED,
                        "the cluster was reset or backtracked since this transaction began to read");
    }
    if (get_word(&handle->shared->epoch) != handle->epoch && !handle->read_only)
        return fail(error, E_FENCED, "%s", fenced);
    return true;
}

/* Do the reclaim work that waits for a writer, if there is any (the caller holds the writer lock). */
static bool before_write(Handle *handle, Error *error)
{
    Store *store = handle->store;
    bool has_chores = get_word(&handle->shared->cleanup);
    if (!has_chores && !reclaim_is_worth_draining(store, handle->row.volume)) return true;
    uint32_t index = handle->row.table_index;
    if (!session_lock_volume(handle->session, index, error)) return false;
    bool done = true;
    if (get_word(&handle->shared->id) == handle->id) done = reclaim_drain(handle->session, &handle->row, error);
    if (done && has_chores) done = store->hooks.before_write(handle, error);
    session_unlock_volume(handle->session, index);
    return done;
}

static bool become_writer(Handle *handle, Error *error)
{
    Session *session = handle->session;
    int is_free = session_await_volume(session, handle->row.table_index, error);
    if (!is_free) return fail(error, E_WRITER_BUSY, "another process is reclaiming its space"); /* nothing is staged yet */
    if (is_free < 0) return false;
    if (!require_present(handle, error)) return false;
    if (get_word(&handle->shared->version) != handle->version.version)
        return fail(error, E_SNAPSHOT_MOVED, "another connection has committed since this transaction began to read");
    return before_write(handle, error);
}

bool handle_begin_write(Handle *handle, Error *error)
{
    if (is_orphan(handle, error)) return false;
    if (handle->read_only) return fail(error, E_READ_ONLY, "it is open read-only");
    if (!require_writable(handle->store, error)) return false;
    int locked = session_try_writer(handle->session, handle->row.table_index, handle->epoch);
    if (locked < 0) return fail_os(error, errno, "locking failed");
    if (!locked) return fail(error, E_WRITER_BUSY, "another connection is writing to it");
    if (!become_writer(handle, error)) {
        session_unlock_writer(handle->session, handle->row.table_index, handle->epoch);
        return false;
    }
    handle->is_writing = true;
    begin(handle);
    return true;
}

bool handle_is_being_written(Handle *handle)
{
    if (store_is_orphan(handle->store)) return false;
    return session_is_written_by_other(handle->session, handle->row.table_index, handle->epoch);
}

/* --- placing ------------------------------------------------------------------------------------------------------ */
typedef struct Write {
    uint32_t slot;
    const void *data;
} Write;

typedef struct Writes {
    Write *at;
    size_t count;
    Write few[32];
} Writes;

static int by_slot(const void *left, const void *right)
{
    uint32_t a = ((const Write *)left)->slot, b = ((const Write *)right)->slot;
    return (a > b) - (a < b);
}

/* Write pages and nodes, contiguous runs in one call.  Linux caches what is written at once as one folio, and each later
** write to a part of a folio costs it a walk over all blocks of the folio. */
#define FOLIO_SLOTS 16
#define SYNCED_RUN_SLOTS 8 /* as in writer.py */

static bool write_slots(Store *store, Writes *writes, Error *error)
{
    struct iovec parts[FOLIO_SLOTS];
    for (size_t n = 1; n < writes->count; n++)
        if (writes->at[n - 1].slot > writes->at[n].slot) {
            qsort(writes->at, writes->count, sizeof *writes->at, by_slot);
            break;
        }
    for (size_t start = 0; start < writes->count;) {
        size_t end = start;
        int count = 0;
        do {
            parts[count].iov_base = (void *)(uintptr_t)writes->at[end].data;
            parts[count++].iov_len = SLOT_BYTES;
            end++;
        } while (end < writes->count && writes->at[end].slot == writes->at[end - 1].slot + 1 && count < FOLIO_SLOTS);
        if (!calls.write(store, store->pool_fd, parts, count, (uint64_t)writes->at[start].slot << SLOT_SHIFT, error))
            return false;
        start = end;
    }
    return true;
}

static bool take(Handle *handle, size_t count, bool as_run, Slots *slots, Error *error)
{
    size_t before = slots->count;
    if (!count) return true;
    if (!session_take_slots(handle->session, count, as_run, slots, error)) return false;
    Slots *taken = &handle->transaction.taken;
    if (!slots_reserve(taken, count)) {
        slots_give_back(handle->store, slots->at + before, count);
        slots->count = before;
        return fail(error, E_MEMORY, "out of memory");
    }
    memcpy(taken->at + taken->count, slots->at + before, count * sizeof *taken->at);
    taken->count += count;
    return true;
}

/* Assign slots to staged pages: from the end of ``run``, or new ones; add the writes to do. */
static bool place_pages(Handle *handle, const uint32_t *pages, size_t count, Slots *run, Writes *writes, Error *error)
{
    Transaction *transaction = &handle->transaction;
    Editor *editor = &transaction->editor;
    size_t first = writes->count, missing = 0, next = 0;
    for (size_t n = 0; n < count; n++) {
        Node *leaf = editor_leaf(editor, pages[n] >> FANOUT_SHIFT, error);
        if (!leaf) return false;
        const Entry *entry = &leaf->children[pages[n] & (FANOUT - 1)];
        bool ahead = entry->birth == transaction->new_version; /* no reader can reach it: it can hold the page again */
        writes->at[first + n].slot = ahead ? entry->slot : 0;
        missing += !writes->at[first + n].slot;
    }
    Slots *fresh = &transaction->fresh;
    slots_clear(fresh);
    if (!run && !take(handle, missing, false, fresh, error)) return false;
    bool done = true;
    for (size_t n = 0; done && n < count; n++) {
        Write *write = &writes->at[first + n];
        write->data = map_get(&transaction->staged, pages[n]);
        if (!write->slot) write->slot = run ? run->at[--run->count] : fresh->at[next++];
        done = editor_set_page(editor, pages[n], write->slot, crc32_of(write->data, SLOT_BYTES), error);
    }
    writes->count += count;
    return done;
}

static bool writes_reserve(Writes *writes, size_t room, Error *error)
{
    writes->count = 0;
    writes->at = room <= sizeof writes->few / sizeof *writes->few ? writes->few : malloc(room * sizeof *writes->at);
    return writes->at || fail(error, E_MEMORY, "out of memory");
}

static void writes_free(Writes *writes)
{
    if (writes->at != writes->few) free(writes->at);
}

/* All staged pages, ascending; ``few`` has room for 32 of them. */
static uint32_t *staged_numbers(const Transaction *transaction, uint32_t *few, Error *error)
{
    size_t count = transaction->staged.count;
    uint32_t *numbers = count <= 32 ? few : malloc(count * sizeof *numbers);
    if (numbers)
        map_numbers(&transaction->staged, numbers);
    else
        fail(error, E_MEMORY, "out of memory");
    return numbers;
}

/* Move the staged pages to unpublished slots, so that a transaction can be larger than memory. */
static bool write_ahead(Handle *handle, Error *error)
{
    Transaction *transaction = &handle->transaction;
    uint32_t few[32], *pages = staged_numbers(transaction, few, error);
    size_t count = transaction->staged.count;
    Writes writes;
    if (!pages) return false;
    uint64_t size = (uint64_t)(pages[count - 1] + 1ull) << SLOT_SHIFT;
    if (transaction->size_bytes > size) size = transaction->size_bytes;
    bool done = editor_grow(&transaction->editor, page_count_of(size), error) && writes_reserve(&writes, count, error);
    if (done) {
        done = place_pages(handle, pages, count, NULL, &writes, error) && write_slots(handle->store, &writes, error);
        writes_free(&writes);
    }
    if (pages != few) free(pages);
    if (done) discard_staged(handle);
    return done;
}

typedef struct Placing {
    Slots *run;
    Writes writes;
} Placing;

static bool place_node(void *context, const Node *node, uint32_t *slot)
{
    Placing *placing = context;
    if (!placing->run->count) return false;
    *slot = placing->run->at[--placing->run->count];
    placing->writes.at[placing->writes.count++] = (Write){*slot, node->children};
    return true;
}

/* Place and write staged pages and edited nodes.  Which slots are adjacent: see _write_pages() in writer.py. */
static bool place_all(Handle *handle, const uint32_t *pages, bool is_synced, Placing *placing, Error *error)
{
    Transaction *transaction = &handle->transaction;
    Editor *editor = &transaction->editor;
    size_t count = transaction->staged.count, first = count && pages[0] == 0;
    for (size_t n = 0; n < count; n++)
        if (!editor_leaf(editor, pages[n] >> FANOUT_SHIFT, error)) return false;
    size_t node_count = editor_node_count(editor);
    if (is_synced && count + node_count <= SYNCED_RUN_SLOTS) {
        bool is_run;
        if (!session_prepare_run(handle->session, count + node_count, &is_run, error)) return false;
        if (is_run) first = count;
    }
    if (!writes_reserve(&placing->writes, count + node_count, error)) return false;
    if (!take(handle, node_count + first, true, placing->run, error)) return false;
    if (!place_pages(handle, pages + first, count - first, NULL, &placing->writes, error)) return false;
    if (!place_pages(handle, pages, first, placing->run, &placing->writes, error)) return false;
    if (!editor_seal(editor, place_node, placing, error)) return false;
    for (size_t n = 0; n < placing->run->count; n++) /* page 0 was written ahead and has a slot already */
        if (!slots_add(&editor->discarded, placing->run->at[n])) return fail(error, E_MEMORY, "out of memory");
    return REACH("commit: before pages are written", error) && write_slots(handle->store, &placing->writes, error);
}

static bool write_pages(Handle *handle, bool is_synced, Error *error)
{
    Transaction *transaction = &handle->transaction;
    Placing placing;
    uint32_t few[32];
    placing.run = &transaction->run;
    placing.writes.at = placing.writes.few;
    slots_clear(placing.run);
    if (!editor_grow(&transaction->editor, page_count_of(transaction->size_bytes), error)) return false;
    uint32_t *pages = staged_numbers(transaction, few, error);
    if (!pages) return false;
    bool done = place_all(handle, pages, is_synced, &placing, error);
    if (pages != few) free(pages);
    writes_free(&placing.writes);
    return done;
}

/* --- ending ------------------------------------------------------------------------------------------------------- */
static void leak(Handle *handle, const Slots *slots)
{
    Error error;
    bool locked = session_lock_wait(handle->session, LOCK_POOL, &error); /* so that the epoch stays */
    slots_set(handle->store, slots->at, slots->count, live_label(handle->store));
    note_leaks(handle->store);
    if (locked) session_unlock(handle->session, LOCK_POOL);
}

/* Discard everything staged and begin again from the base. */
static void give_up(Handle *handle, bool may_be_recorded)
{
    Transaction *transaction = &handle->transaction;
    Store *store = handle->store;
    Slots slots = transaction->taken;
    Error error;
    memset(&transaction->taken, 0, sizeof transaction->taken);
    discard_staged(handle);
    editor_end(&transaction->editor, false);
    begin(handle);
    if (may_be_recorded && slots.count && !has_failed(store)) /* before its slots are reused (V2) */
        store->hooks.wipe_stale_record(handle, transaction->base.version, &error);
    if (slots.count) {
        if (has_failed(store))
            leak(handle, &slots); /* a record on the device may reach them */
        else
            slots_give_back(store, slots.at, slots.count);
    }
    slots_free(&slots);
}

void handle_end(Handle *handle)
{
    if (!handle->is_writing || store_is_orphan(handle->store)) return;
    if (handle->transaction.taken.count) give_up(handle, false);
    discard_staged(handle);
    editor_end(&handle->transaction.editor, false);
    handle->is_writing = false;
    session_unlock_writer(handle->session, handle->row.table_index, handle->epoch);
}

bool handle_is_unchanged(const Handle *handle)
{
    const Transaction *transaction = &handle->transaction;
    return !handle->is_writing || transaction->is_over ||
           (!transaction->staged.count && !transaction->counter_moved && editor_is_unchanged(&transaction->editor) &&
            transaction->size_bytes == transaction->base.size_bytes);
}

/* The head sector for the next version record (V2), under the volume lock. */
static bool free_sector(Handle *handle, uint64_t durable, int *sector, Error *error)
{
    Store *store = handle->store;
    uint64_t published = handle->transaction.base.version, versions[COMMIT_SECTORS], oldest = UINT64_MAX;
    for (int attempt = 0;; attempt++) {
        bool is_stale = false;
        oldest = UINT64_MAX;
        for (int at = 0; at < COMMIT_SECTORS; at++) {
            const uint64_t *words = head_words(store, &handle->row, at);
            bool is_own = words[1] == handle->row.volume;
            versions[at] = is_own ? words[2] : UINT64_MAX; /* UINT64_MAX: of no version */
            is_stale = is_stale || (is_own && words[2] > published);
            if (is_own && words[2] && !words[3] && words[2] < oldest) oldest = words[2];
        }
        if (!is_stale || attempt) break;
        if (!store->hooks.wipe_stale_record(handle, published, error)) return false;
    }
    for (int at = 0; at < COMMIT_SECTORS; at++)
        if (versions[at] != published && versions[at] != durable && (durable || versions[at] != oldest)) {
            *sector = at;
            return true;
        }
    return fail(error, E_CORRUPTION, "BUG: the head slot %u has no sector for another record", handle->row.head_slot);
}

static bool write_record(Handle *handle, const Version *record, uint64_t durable, Error *error)
{
    Store *store = handle->store;
    uint8_t data[SECTOR_BYTES];
    int sector = 0;
    if (!free_sector(handle, durable, &sector, error)) return false;
    pack_version(record, data);
    uint64_t offset = ((uint64_t)handle->row.head_slot << SLOT_SHIFT) + (unsigned)sector * SECTOR_BYTES;
    if (write_at(store, store->pool_fd, data, SECTOR_BYTES, offset, error)) return true;
    if (error->kind == E_OS) { /* it may be on the device */
        char reason[100];
        snprintf(reason, sizeof reason, "writing a version record of volume %llu failed",
                 (unsigned long long)handle->row.volume);
        store_failed(store, reason);
    }
    return false;
}

static bool append_history(Handle *handle, const Version *record, Error *error)
{
    uint8_t data[SECTOR_BYTES];
    if (handle->history_fd < 0 && !handle->store->hooks.history_file(handle, &handle->history_fd, error)) return false;
    pack_history(record, get_word(&handle->shared->written) + handle->transaction.taken.count, data);
    return write_at(handle->store, handle->history_fd, data, HISTORY_RECORD_BYTES,
                    record->version * HISTORY_RECORD_BYTES, error);
}

static void make_record(Handle *handle, uint64_t durable, Version *record)
{
    Transaction *transaction = &handle->transaction;
    Editor *editor = &transaction->editor;
    int64_t own = transaction->base.own_count + editor->added_count + (int64_t)editor->superseded.count;
    for (size_t n = 0; n < editor->superseded.count; n++)
        own -= editor->superseded.at[n].birth > handle->row.base.version;
    int64_t now = clock_tick_ns(handle->store);
    *record = (Version){
        .volume = handle->row.volume,
        .version = transaction->new_version,
        .durable = durable,
        .size_bytes = transaction->size_bytes,
        .slot_count = (uint64_t)((int64_t)transaction->base.slot_count + editor->added_count),
        .own_count = own,
        .time_ns = now > transaction->base.time_ns ? now : transaction->base.time_ns + 1,
        .root = editor->root,
    };
}

/* Whether a commit must be synced although its setting does not require it: see _is_first_of_kind in writer.py. */
static bool is_first_of_kind(int durability, uint64_t durable)
{
    return durability == DURABILITY_OFF ? durable != 0 : durable == 0;
}

/* Label slots, keep superseded ones, move the head; an interruption may leak slots, but never frees any. */
static bool move_head(Handle *handle, const Version *record, uint64_t durable, uint64_t waits_for, Error *error)
{
    Store *store = handle->store;
    Transaction *transaction = &handle->transaction;
    Editor *editor = &transaction->editor;
    VolumeRecord *shared = handle->shared;
    Supersededs *kept = &transaction->kept;
    Slots slots = transaction->taken, discarded = editor->discarded;
    bool published = false, done = false;
    memset(&transaction->taken, 0, sizeof transaction->taken);
    memset(&editor->discarded, 0, sizeof editor->discarded);
    superseded_clear(kept);
    if (discarded.count) { /* their label does not matter: they are freed below, or leaked */
        slots_sort(&discarded);
        slots_sort(&slots);
    }
    uint16_t label = live_label(store);
    for (size_t n = 0, skip = 0; n < slots.count; n++) { /* before the word moves (M2) */
        while (skip < discarded.count && discarded.at[skip] < slots.at[n]) skip++;
        if (skip < discarded.count && discarded.at[skip] == slots.at[n]) continue;
        slots_set(store, &slots.at[n], 1, label);
    }
    if (!get_word(&shared->retained))
        for (size_t n = 0; n < editor->superseded.count; n++) {
            Superseded *item = &editor->superseded.at[n];
            if (item->birth <= handle->row.base.version) continue; /* R5 */
            if (!superseded_add(kept, item->slot, item->birth, transaction->new_version)) {
                note_leaks(store);
                break;
            }
            slots_set(store, &item->slot, 1, (uint16_t)(RESERVED + keeper_of(store))); /* R8 */
        }
    done = REACH("commit: slots labelled", error);
    if (done) {
        set_word(&shared->version, transaction->new_version); /* readers pin it from now on (S4) */
        published = true;
        adopt(handle, record);
        uint64_t before = get_word(&shared->written), after = before + slots.count;
        set_word(&shared->written, after);
        if (before / TEND_SLOTS != after / TEND_SLOTS && get_word(&shared->retained)) handle->is_tend_due = true;
        set_word(&handle->session->record->pin, transaction->new_version);
        set_word(&shared->durable, durable);
        done = REACH("commit: published", error);
        slots_give_back(store, discarded.at, discarded.count);
    }
    if (!done) note_leaks(store);
    if (!published) {
        for (size_t n = 0; n < kept->count; n++) slots_set(store, &kept->at[n].slot, 1, live_label(store));
        kept->count = 0;
    }
    if (!reclaim_enqueue(store, &handle->row, kept, waits_for)) note_leaks(store);
    transaction->is_over = true; /* reads remain valid, the next write begins again */
    transaction->size_bytes = handle->version.size_bytes;
    transaction->inherited_count = page_count_of(handle->version.size_bytes);
    discard_staged(handle);
    editor_end(editor, published);
    slots_clear(&slots);
    slots_free(&transaction->taken);
    transaction->taken = slots; /* its room */
    slots_free(&discarded);
    return done;
}

static bool publish(Handle *handle, int durability, Error *error)
{
    Store *store = handle->store;
    uint64_t durable = get_word(&handle->shared->durable);
    Version record;
    /* staged pages and copied nodes -> free slots; version record -> a free head sector */
    bool is_synced = store->is_durable && durability == DURABILITY_FULL;
    bool done = write_pages(handle, is_synced, error) && REACH("commit: pages written", error);
    if (done) make_record(handle, durability ? durable : 0, &record);
    /* K3: after the first commit of a volume, under OFF, recovery may fall back to the base */
    uint64_t base = handle->row.base.version;
    bool falls_back = durability == DURABILITY_OFF && handle->transaction.base.version == base && durable == base;
    bool changes_kind = is_first_of_kind(durability, durable) && !falls_back;
    if (done && store->is_durable && durability == DURABILITY_OFF && changes_kind)
        done = store->hooks.seal(handle, error);
    done = done && write_record(handle, &record, durable, error) && REACH("commit: record written", error);
    if (done && store->is_durable && (durability == DURABILITY_FULL || changes_kind)) {
        done = pool_sync(store, error); /* the one fdatasync: pages, nodes and record */
        durable = handle->transaction.new_version;
        done = done && REACH("commit: synced", error);
    }
    if (done && get_word(&handle->shared->retained)) /* H1: before the head moves */
        done = append_history(handle, &record, error) && REACH("commit: past recorded", error);
    if (!done) {
        give_up(handle, true);
        return false;
    }
    bool waits = store->is_durable && durability != DURABILITY_OFF;
    return move_head(handle, &record, durability ? durable : 0, waits ? durable : (uint64_t)FOREVER, error);
}

/* Reread the catalog row if the volume's base has moved (the caller holds the volume lock). */
static bool look_at_base(Handle *handle, Error *error)
{
    VolumeRow row;
    bool found;
    if (get_word(&handle->shared->base) == handle->row.base.version) return true;
    if (!handle->store->hooks.reread(handle, &row, &found, error)) return false;
    if (!found) return fail(error, E_DROPPED, "it was dropped");
    handle->row.base = row.base;
    return true;
}

bool handle_publish(Handle *handle, int durability, Error *error)
{
    if (is_orphan(handle, error)) return false;
    if (handle_is_unchanged(handle)) return true;
    Store *store = handle->store;
    Session *session = handle->session;
    if (!require_writable(store, error)) return false;
    if (!handle->has_published && !store->hooks.begins_publishing(handle, error)) return false;
    handle->has_published = true;
    uint32_t index = handle->row.table_index;
    if (!session_lock_volume(session, index, error)) return false;
    set_word(&session->record->publishing, handle->transaction.new_version); /* before the epoch is read; a sweep waits */
    bool done = require_present(handle, error) && look_at_base(handle, error) && publish(handle, durability, error);
    set_word(&session->record->publishing, 0);
    session_unlock_volume(session, index);
    return done;
}

/* --- staging ------------------------------------------------------------------------------------------------------ */
/* Begin the next transaction after a publication, as under locking_mode=EXCLUSIVE. */
static bool begin_again(Handle *handle, Error *error)
{
    if (!before_write(handle, error)) return false;
    begin(handle);
    return true;
}

static bool stage(Handle *handle, uint32_t page, const uint8_t *data, Error *error)
{
    Transaction *transaction = &handle->transaction;
    bool is_first = page == 0 && is_database(data);
    if (is_first) {
        uint8_t counter[4];
        put_counter(counter, handle->version.version);
        if (memcmp(data + 24, counter, 4) != 0) transaction->counter_moved = true;
    }
    if ((uint64_t)page << SLOT_SHIFT < transaction->size_bytes) {
        const uint8_t *stored = stored_page(handle, page, error);
        if (!stored) return false;
        if (equals_stored(data, stored, is_first)) { /* shares its slot again */
            free_page(handle, map_remove(&transaction->staged, page));
            return true;
        }
    }
    uint8_t *copy = map_get(&transaction->staged, page);
    if (!copy) {
        copy = new_page(handle);
        if (!copy || !map_put(&transaction->staged, page, copy)) {
            free_page(handle, copy);
            return fail(error, E_MEMORY, "out of memory");
        }
    }
    memcpy(copy, data, SLOT_BYTES);
    if (is_first) clear_counter(copy);
    return transaction->staged.count < staged_pages_max || write_ahead(handle, error);
}

bool handle_write(Handle *handle, const void *data, size_t amount, uint64_t offset, Error *error)
{
    if (is_orphan(handle, error)) return false;
    Transaction *transaction = &handle->transaction;
    if (transaction->is_over && !begin_again(handle, error)) return false;
    if (offset + amount > SLOT_COUNT_MAX << SLOT_SHIFT)
        return fail(error, E_POOL_FULL, "a database cannot have more than %llu pages", SLOT_COUNT_MAX);
    const uint8_t *from = data;
    uint64_t end = offset + amount;
    for (size_t left = amount; left;) {
        uint32_t page = (uint32_t)(offset >> SLOT_SHIFT);
        size_t within = offset & (SLOT_BYTES - 1), part = SLOT_BYTES - within;
        if (part > left) part = left;
        if (part == SLOT_BYTES) {
            if (!stage(handle, page, from, error)) return false;
        } else {
            uint8_t whole[SLOT_BYTES];
            const uint8_t *old = present_page(handle, page, error);
            if (!old) return false;
            memcpy(whole, old, SLOT_BYTES);
            if (page == 0 && is_database(old)) show_counter(whole, 0, SLOT_BYTES, handle->version.version);
            memcpy(whole + within, from, part);
            if (!stage(handle, page, whole, error)) return false;
        }
        from += part;
        offset += part;
        left -= part;
    }
    if (end > transaction->size_bytes) transaction->size_bytes = end;
    return true;
}

bool handle_truncate(Handle *handle, uint64_t size_bytes, Error *error)
{
    if (is_orphan(handle, error)) return false;
    Transaction *transaction = &handle->transaction;
    if (transaction->is_over && !begin_again(handle, error)) return false;
    if (page_count_of(size_bytes) > SLOT_COUNT_MAX)
        return fail(error, E_POOL_FULL, "a database cannot have more than %llu pages", SLOT_COUNT_MAX);
    if (size_bytes < transaction->size_bytes) {
        uint64_t page_count = page_count_of(size_bytes);
        uint32_t few[32], *pages = staged_numbers(transaction, few, error);
        if (!pages) return false;
        for (size_t count = transaction->staged.count; count && pages[count - 1] >= page_count; count--)
            free_page(handle, map_remove(&transaction->staged, pages[count - 1]));
        if (pages != few) free(pages);
        if (!editor_truncate(&transaction->editor, page_count, error)) return false;
        if (transaction->inherited_count > page_count) transaction->inherited_count = page_count;
        size_t within = size_bytes & (SLOT_BYTES - 1);
        transaction->size_bytes = size_bytes;
        if (within) {
            uint32_t page = (uint32_t)(page_count - 1);
            const uint8_t *old = present_page(handle, page, error);
            uint8_t *copy = old ? new_page(handle) : NULL;
            if (!old) return false;
            if (!copy) return fail(error, E_MEMORY, "out of memory");
            memcpy(copy, old, SLOT_BYTES);
            if (page == 0 && is_database(copy)) show_counter(copy, 0, SLOT_BYTES, handle->version.version);
            memset(copy + within, 0, SLOT_BYTES - within);
            if (!stage(handle, page, copy, error)) return false;
        }
    }
    transaction->size_bytes = size_bytes;
    return true;
}
