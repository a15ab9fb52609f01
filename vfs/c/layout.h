/* The bytes of a store's files: the twin of vfs/format/layout.py, shared.py and locks.py, which explain them.
**
** All integers are little-endian and naturally aligned; only little-endian processors are supported.
*/
#ifndef CLUSTERDB_LAYOUT_H
#define CLUSTERDB_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the files of a store are little-endian"
#endif

#define SLOT_BYTES 4096u
#define SLOT_SHIFT 12
#define SECTOR_BYTES 512u
#define FANOUT 256u
#define FANOUT_SHIFT 8
#define DEPTH_MAX 4
#define SLOT_COUNT_MAX (1ull << 31)
#define FOREVER (1ll << 62)
#define VERSION_MAX (1ull << 55)

#define HEAD_SECTORS 4
#define COMMIT_SECTORS 3
#define SEAL_SECTOR 3
#define VERSION_RECORD_BYTES 84u
#define HISTORY_RECORD_BYTES 128u
#define HISTORY_WRITTEN_BYTE 88u

/* --- page table -------------------------------------------------------------------------------------------------- */
typedef struct Entry {
    uint32_t slot; /* 0: a hole */
    uint32_t crc;
    uint64_t birth;
} Entry;

typedef struct Version {
    uint64_t volume;
    uint64_t version;
    uint64_t durable;
    uint64_t size_bytes;
    uint64_t slot_count;
    int64_t own_count;
    int64_t time_ns;
    Entry root;
} Version;

uint32_t crc32_of(const void *data, size_t length);
/* What is to be added (XOR) to the crc of a node when an entry changes, ``behind`` entries before its end. */
uint32_t crc32_of_change(const Entry *from, const Entry *to, unsigned behind);
const char *crc32_implementation(void);
uint64_t page_count_of(uint64_t size_bytes);
int depth_of(uint64_t page_count);
void pack_version(const Version *version, uint8_t sector[SECTOR_BYTES]);
/* The record of a version in a history: also the slots that the volume has written up to this version (H7). */
void pack_history(const Version *version, uint64_t written, uint8_t sector[SECTOR_BYTES]);
bool unpack_version(const uint8_t *sector, Version *version);

/* --- the files map and readers ------------------------------------------------------------------------------------ */
#define MAP_HEADER_BYTES 4096u

typedef struct MapHeader {
    uint64_t magic, boot_low, boot_high, device, inode;
    uint64_t slot_count, hint, epoch, leaks, sweeping, synced, closed;
} MapHeader;

#define FREE 0u
#define LIVE_EVEN 0x0101u
#define LIVE_ODD 0x0202u
#define RESERVED 0x0400u

#define ROW_BYTES 128u
#define VOLUME_ROWS 32768u
#define SESSION_ROWS 8192u
#define GATE_ROWS 4096u
#define READERS_HEADER_BYTES 4096u
#define VOLUME_TABLE_BYTE READERS_HEADER_BYTES
#define SESSION_TABLE_BYTE (VOLUME_TABLE_BYTE + VOLUME_ROWS * ROW_BYTES)
#define GATE_TABLE_BYTE (SESSION_TABLE_BYTE + SESSION_ROWS * ROW_BYTES)
#define READERS_BYTES (GATE_TABLE_BYTE + GATE_ROWS * ROW_BYTES)

typedef struct ReadersHeader {
    uint64_t magic, session_high, volume_hint, clock_offset, catalog_begun, catalog_settled;
} ReadersHeader;

typedef struct VolumeRecord {
    uint64_t id, version, durable, pins, cleanup, base, epoch, retained, written, read;
    uint64_t lock, plain, writer, plain_writer; /* see vfs/format/locks.py */
    uint64_t unused[2];
} VolumeRecord;

typedef struct SessionRecord {
    uint64_t owner, volume, pin, publishing, heads, generation;
    uint64_t unused[10];
} SessionRecord;

_Static_assert(sizeof(VolumeRecord) == ROW_BYTES && sizeof(SessionRecord) == ROW_BYTES, "rows have one size");

#define DROPPED (1ull << 63)
#define DAMAGED (1ull << 62)
#define MOVED (1ull << 61)
#define HALTED (1ull << 60)
#define FLAGS (DROPPED | DAMAGED | MOVED | HALTED)
#define KEEPS_SUPERSEDED UINT64_MAX
#define LABELS (UINT64_MAX - 1)

/* --- bytes of the file locks -------------------------------------------------------------------------------------- */
#define LOCK_OPEN 0
#define LOCK_POOL 1
#define LOCK_STORE 2
int64_t volume_lock(uint32_t index);
int64_t session_lock(uint32_t row);
int64_t writer_lock(uint32_t index, uint64_t epoch);

/* The value of a lock word: the session row plus one, its generation, and for a writer its epoch. */
#define TOKEN_ROW_BITS 14
#define TOKEN_GENERATION_BITS 24
#define TOKEN_EPOCH_SHIFT (TOKEN_ROW_BITS + TOKEN_GENERATION_BITS)
uint64_t lock_token(uint32_t row, uint64_t generation, uint64_t epoch);

/* --- words of shared memory: aligned, never torn; all orders are sequentially consistent --------------------------- */
static inline uint64_t get_word(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void set_word(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* Replace a word that has the value ``expected``. */
static inline bool swap_word(uint64_t *word, uint64_t expected, uint64_t value)
{
    return __atomic_compare_exchange_n(word, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

#endif
