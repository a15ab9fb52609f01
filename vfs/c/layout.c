/* Packing and unpacking of durable records: the twin of vfs/format/layout.py. */
#include "layout.h"

#include <string.h>

static const char version_magic[8] = {'c', 'l', 's', 't', 'h', 'e', 'a', 'd'};

uint64_t page_count_of(uint64_t size_bytes)
{
    return (size_bytes >> SLOT_SHIFT) + ((size_bytes & (SLOT_BYTES - 1)) != 0); /* any 64 bits: they may be damaged */
}

int depth_of(uint64_t page_count)
{
    int depth = 0;
    uint64_t reach = 1;
    while (reach < page_count || (depth == 0 && page_count)) {
        depth++;
        reach <<= FANOUT_SHIFT;
    }
    return depth;
}

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, 8);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

void pack_version(const Version *v, uint8_t sector[SECTOR_BYTES])
{
    memset(sector, 0, SECTOR_BYTES);
    memcpy(sector, version_magic, 8);
    put64(sector + 8, v->volume);
    put64(sector + 16, v->version);
    put64(sector + 24, v->durable);
    put64(sector + 32, v->size_bytes);
    put64(sector + 40, v->slot_count);
    put64(sector + 48, (uint64_t)v->own_count);
    put64(sector + 56, (uint64_t)v->time_ns);
    memcpy(sector + 64, &v->root.slot, 4);
    memcpy(sector + 68, &v->root.crc, 4);
    put64(sector + 72, v->root.birth);
    uint32_t crc = crc32_of(sector, VERSION_RECORD_BYTES - 4);
    memcpy(sector + VERSION_RECORD_BYTES - 4, &crc, 4);
}

void pack_history(const Version *v, uint64_t written, uint8_t sector[SECTOR_BYTES])
{
    pack_version(v, sector);
    put64(sector + HISTORY_WRITTEN_BYTE, written);
    uint32_t crc = crc32_of(sector, HISTORY_WRITTEN_BYTE + 8);
    memcpy(sector + HISTORY_WRITTEN_BYTE + 8, &crc, 4);
}

bool unpack_version(const uint8_t *sector, Version *v)
{
    if (memcmp(sector, version_magic, 8) != 0) return false;
    if (crc32_of(sector, VERSION_RECORD_BYTES - 4) != get32(sector + VERSION_RECORD_BYTES - 4)) return false;
    v->volume = get64(sector + 8);
    v->version = get64(sector + 16);
    v->durable = get64(sector + 24);
    v->size_bytes = get64(sector + 32);
    v->slot_count = get64(sector + 40);
    v->own_count = (int64_t)get64(sector + 48);
    v->time_ns = (int64_t)get64(sector + 56);
    v->root.slot = get32(sector + 64);
    v->root.crc = get32(sector + 68);
    v->root.birth = get64(sector + 72);
    return page_count_of(v->size_bytes) <= SLOT_COUNT_MAX && v->slot_count <= SLOT_COUNT_MAX && v->version <= VERSION_MAX;
}

int64_t volume_lock(uint32_t index)
{
    return 0x10000 + (int64_t)index;
}

int64_t session_lock(uint32_t row)
{
    return 0x20000 + (int64_t)row;
}

int64_t writer_lock(uint32_t index, uint64_t epoch)
{
    return 0x40000 + (int64_t)(epoch % (1ull << 40)) * VOLUME_ROWS + index;
}

uint64_t lock_token(uint32_t row, uint64_t generation, uint64_t epoch)
{
    uint64_t low = generation & ((1ull << TOKEN_GENERATION_BITS) - 1);
    return (row + 1ull) | low << TOKEN_ROW_BITS | epoch << TOKEN_EPOCH_SHIFT;
}
