// The surroundings of the NIC, one call per clock cycle: the host's bus and memory, and the far end of the GMII.
// Python drives it through the functions at the end of the file (see sim/rtl/shared.py, which mirrors State).
//
// Bus model: register accesses arrive in order, each `mmio` latency after it was issued. A register read completes one
// return latency after the NIC answered, and not before the NIC's earlier memory writes are visible (PCI ordering: a
// read response pushes posted writes). Memory reads return `dma_read` cycles after the request, one after the other;
// memory writes are visible `dma_write` cycles after their data was taken. Each way moves `dma_width` bytes a cycle.
//
// Host memory is a table of regions. At first it has one, made here; Python may put others in its place, such as the
// memory of a virtual machine, whose owner writes to it at any time.
#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

namespace {

constexpr uint64_t NEVER = ~uint64_t{0};
constexpr size_t MEMORY_BYTES = 16u << 20;
constexpr unsigned WORD_BYTES = 8;

struct State {
    // Told by Python.
    uint64_t deadline;            // wake Python at this cycle
    uint64_t mmio_read_return;    // cycles from the NIC's answer to the processor
    uint64_t dma_read_latency;    // cycles
    uint64_t dma_write_latency;   // cycles
    uint64_t dma_width;           // bytes per cycle, 1..8
    uint64_t watching;            // wake Python, once, when the NIC is at rest or a watched descriptor can be read
    uint64_t reset;               // reset the NIC and all that is under way; becomes 0 when that has begun
    // Told to Python.
    uint64_t cycle;               // rising clock edges so far
    uint64_t interrupt;           // level of the interrupt pin
    uint64_t interrupts;          // rises so far
    uint64_t reads_done;          // register reads completed so far; niclab_read_value() has their values
    uint64_t frames_sent;         // by the NIC
    uint64_t bad_reads;           // DMA read requests outside of memory
    uint64_t bad_writes;          // DMA writes outside of memory
    uint64_t read_bytes;          // DMA payload, requested
    uint64_t write_bytes;
    uint64_t rest;                // without an access or a frame from Python nothing will happen any more
};

struct Region { uint64_t address; uint64_t length; uint8_t* memory; bool writable; };

struct RegisterAccess { uint64_t arrival; uint32_t address; bool write; uint32_t data; bool io; };
struct Completion { uint64_t due; uint32_t value; };
struct ReadBurst { uint64_t due; uint64_t address; uint32_t words; uint32_t tag; bool bad; };
struct MemoryWrite { uint64_t due; uint64_t address; uint64_t data; uint8_t strobe; };
struct WriteWord { uint64_t due; uint64_t data; uint8_t strobe; bool last; };
struct Frame { uint64_t cycle; std::vector<uint8_t> bytes; bool error; };

alignas(64) uint8_t memory[MEMORY_BYTES];
State state = {.deadline = NEVER, .dma_width = WORD_BYTES};

std::vector<Region> regions = {{0, MEMORY_BYTES, memory, true}};
size_t last_region = 0;
std::vector<pollfd> watched;

std::deque<RegisterAccess> accesses;
bool driving_register = false;
std::deque<Completion> completions;   // on their way to the processor
std::deque<uint32_t> read_values;     // arrived there

std::deque<ReadBurst> bursts;
uint64_t read_bus_free = 0;      // in bytes * cycles, see pace()
std::deque<MemoryWrite> writes;
std::deque<uint64_t> write_addresses;
std::deque<WriteWord> write_words;
uint64_t write_bus_free = 0;
bool write_ready = false;

Frame sending;
bool in_frame = false;
std::deque<Frame> sent;
std::deque<Frame> receiving;
size_t receive_position = 0;
uint64_t receive_free = 0;

constexpr unsigned PREAMBLE_BYTES = 8;
constexpr unsigned GAP_BYTES = 12;

// What goes on inside of the NIC without a sign on its pins or a running timer is over after so many cycles: whatever a
// register write starts, and the way of data through the NIC, which depends on how much of it there is. A frame of
// 16 KiB moves on by 8 bytes a cycle, so twice the time of that covers what waits behind another frame.
constexpr uint64_t SETTLE_CYCLES = 128;
constexpr uint64_t MOVE_CYCLES = 4096;
constexpr uint64_t BYTES_PER_CYCLE = 4;
constexpr uint64_t POLL_CYCLES = 16;
uint64_t busy_until = SETTLE_CYCLES;
uint64_t moved_bytes = 0;        // since the NIC was at rest

// A bus of `dma_width` bytes a cycle moves a word in 8/width cycles. Time is kept in eighths so that any width is exact.
bool pace(uint64_t& free_at) {
    const uint64_t now = state.cycle * WORD_BYTES;
    if (free_at > now) return false;
    const uint64_t start = free_at + WORD_BYTES > now ? free_at : now;
    free_at = start + WORD_BYTES * WORD_BYTES / state.dma_width;
    return true;
}

// The region in which an aligned word lies, or null. Regions begin and end at whole words.
const Region* find(uint64_t address) {
    for (size_t tried = 0; tried < regions.size(); tried++) {
        const Region& region = regions[last_region];
        if (address - region.address < region.length) return &region;
        last_region = last_region + 1 == regions.size() ? 0 : last_region + 1;
    }
    return nullptr;
}

void land_writes() {
    while (!writes.empty() && writes.front().due <= state.cycle) {
        const MemoryWrite& write = writes.front();
        const Region* region = find(write.address);
        if (region == nullptr || !region->writable) {
            state.bad_writes++;
        } else {
            uint8_t* word = region->memory + (write.address - region->address);
            // A whole word at once: who polls the status in a descriptor must find the rest of it there.
            if (write.strobe == 0xFF) std::memcpy(word, &write.data, WORD_BYTES);
            else
                for (unsigned lane = 0; lane < WORD_BYTES; lane++)
                    if (write.strobe >> lane & 1) word[lane] = uint8_t(write.data >> (8 * lane));
        }
        writes.pop_front();
    }
}

void begin_reset() {
    accesses.clear();
    driving_register = false;
    completions.clear();
    bursts.clear();
    writes.clear();
    write_addresses.clear();
    write_words.clear();
    write_ready = false;
    in_frame = false;
    receiving.clear();
    receive_position = 0;
    state.reset = 0;
}

}  // namespace

extern "C" void niclab_tick(
    uint8_t read_request_valid, uint64_t read_request_address, uint32_t read_request_length,
    uint32_t read_request_tag, uint8_t write_request_valid, uint64_t write_request_address,
    uint32_t write_request_length, uint8_t write_data_valid, uint64_t write_data, uint32_t write_strobe,
    uint8_t write_last, uint8_t register_ready, uint8_t response_valid, uint32_t response, uint8_t interrupt,
    uint32_t txd, uint8_t tx_en, uint8_t tx_er, uint8_t working, uint8_t* read_data_valid, uint64_t* read_data, uint32_t* read_tag,
    uint8_t* read_last, uint8_t* write_data_ready, uint8_t* register_valid, uint32_t* register_address,
    uint8_t* register_write, uint32_t* register_data, uint8_t* register_io, uint32_t* rxd, uint8_t* rx_dv,
    uint8_t* reset_now, uint8_t* wake_now) {
    state.cycle++;
    const uint64_t now = state.cycle;
    bool wake = false;
    bool stirred = state.reset || working;
    bool moving = read_request_valid || write_request_valid || write_data_valid || tx_en;

    *reset_now = state.reset != 0;
    if (state.reset) begin_reset();

    land_writes();

    // Registers: one access at a time on the port, in order.
    if (driving_register && register_ready) {
        stirred |= accesses.front().write;
        accesses.pop_front();
        driving_register = false;
    }
    if (!driving_register && !accesses.empty() && accesses.front().arrival <= now) driving_register = true;
    *register_valid = driving_register;
    *register_address = driving_register ? accesses.front().address : 0;
    *register_write = driving_register && accesses.front().write;
    *register_data = driving_register ? accesses.front().data : 0;
    *register_io = driving_register && accesses.front().io;
    if (response_valid) {
        uint64_t due = now + state.mmio_read_return;
        if (!writes.empty() && writes.back().due > due) due = writes.back().due;
        completions.push_back({due, response});
    }
    while (!completions.empty() && completions.front().due <= now) {
        read_values.push_back(completions.front().value);
        completions.pop_front();
        state.reads_done++;
        wake = true;
    }

    // Memory reads.
    if (read_request_valid) {
        const uint64_t first = read_request_address & ~uint64_t{7};
        const uint64_t end = read_request_address + read_request_length;
        bursts.push_back(
            {now + state.dma_read_latency, first, uint32_t((end - first + 7) / 8), read_request_tag, false});
        state.read_bytes += read_request_length;
        moved_bytes += read_request_length;
    }
    *read_data_valid = 0;
    *read_data = 0;
    *read_tag = 0;
    *read_last = 0;
    if (!bursts.empty() && bursts.front().due <= now && pace(read_bus_free)) {
        ReadBurst& burst = bursts.front();
        *read_data_valid = 1;
        if (const Region* region = find(burst.address)) {
            std::memcpy(read_data, region->memory + (burst.address - region->address), WORD_BYTES);
        } else {
            *read_data = ~uint64_t{0};  // what a PCI master abort reads
            burst.bad = true;
        }
        *read_tag = burst.tag;
        burst.address += WORD_BYTES;
        *read_last = --burst.words == 0;
        if (*read_last) {
            state.bad_reads += burst.bad;
            bursts.pop_front();
        }
    }

    // Memory writes. A request may come before, with or after its data; both queues keep their order.
    if (write_request_valid) {
        write_addresses.push_back(write_request_address & ~uint64_t{7});
        state.write_bytes += write_request_length;
    }
    if (write_data_valid && write_ready)
        write_words.push_back({now + state.dma_write_latency, write_data, uint8_t(write_strobe), bool(write_last)});
    while (!write_words.empty() && !write_addresses.empty()) {
        const WriteWord& word = write_words.front();
        uint64_t& address = write_addresses.front();
        writes.push_back({word.due, address, word.data, word.strobe});
        address += WORD_BYTES;
        if (word.last) write_addresses.pop_front();
        write_words.pop_front();
    }
    write_ready = pace(write_bus_free);
    *write_data_ready = write_ready;

    // Interrupt pin.
    if (interrupt != state.interrupt) {
        state.interrupt = interrupt;
        if (interrupt) {
            state.interrupts++;
            wake = true;
        }
    }

    // GMII, from the NIC: a frame is what lies between two rests of TX_EN.
    if (tx_en) {
        if (!in_frame) {
            in_frame = true;
            sending.cycle = now;
            sending.bytes.clear();
            sending.error = false;
        }
        sending.bytes.push_back(uint8_t(txd));
        sending.error |= tx_er;
    } else if (in_frame) {
        in_frame = false;
        sent.push_back(sending);
        state.frames_sent++;
        wake = true;
    }

    // GMII, to the NIC: preamble, start delimiter, frame with FCS, and at least the standard's gap.
    *rx_dv = 0;
    *rxd = 0;
    if (!receiving.empty() && now >= receiving.front().cycle && now >= receive_free) {
        const Frame& frame = receiving.front();
        *rx_dv = 1;
        moved_bytes++;
        if (receive_position < PREAMBLE_BYTES) *rxd = receive_position == PREAMBLE_BYTES - 1 ? 0xD5 : 0x55;
        else *rxd = frame.bytes[receive_position - PREAMBLE_BYTES];
        if (++receive_position == PREAMBLE_BYTES + frame.bytes.size()) {
            receive_position = 0;
            receive_free = now + 1 + GAP_BYTES;
            receiving.pop_front();
        }
    }

    if (now >= state.deadline) {
        state.deadline = NEVER;
        wake = true;
    }

    moving |= !bursts.empty() || !writes.empty() || !write_words.empty() || !receiving.empty();
    if (stirred || moving) {
        const uint64_t way = moving ? std::min(moved_bytes / BYTES_PER_CYCLE, MOVE_CYCLES) : 0;
        busy_until = std::max(busy_until, now + SETTLE_CYCLES + way);
    }
    state.rest = now > busy_until && accesses.empty() && completions.empty();
    if (state.rest) moved_bytes = 0;
    if (state.watching &&
        (state.rest || (now % POLL_CYCLES == 0 && poll(watched.data(), nfds_t(watched.size()), 0) > 0))) {
        state.watching = 0;
        wake = true;
    }
    *wake_now = wake;
}

extern "C" {

State* niclab_state() { return &state; }
uint8_t* niclab_memory() { return memory; }
uint64_t niclab_memory_bytes() { return MEMORY_BYTES; }
uint64_t niclab_state_bytes() { return sizeof(State); }

// A register access that reaches the NIC at cycle `arrival`, or as soon as those before it have; `io`: through the I/O
// window. No reads of both windows may be on their way at the same time.
void niclab_access(uint64_t arrival, uint32_t address, uint8_t write, uint32_t data, uint8_t io) {
    // Two flows of control of the processor may ask in another order than that of their accesses.
    auto place = accesses.end();
    while (place != accesses.begin() + driving_register && (place - 1)->arrival > arrival) --place;
    accesses.insert(place, {arrival, address, bool(write), data, bool(io)});
    state.rest = 0;
}

// Host memory from now on: `length` bytes at bus address `address`, both multiples of 8, that overlap no other region.
// The memory stays its owner's, and must stay until niclab_unmap.
void niclab_map(uint64_t address, uint64_t length, uint8_t* memory, uint8_t writable) {
    regions.push_back({address, length, memory, bool(writable)});
}

// The region at `address` is no more. 0 if there was none.
uint8_t niclab_unmap(uint64_t address) {
    last_region = 0;
    return std::erase_if(regions, [=](const Region& region) { return region.address == address; }) != 0;
}

// The descriptors that state.watching is about.
void niclab_watch(const int32_t* descriptors, uint64_t count) {
    watched.clear();
    for (uint64_t i = 0; i < count; i++) watched.push_back({descriptors[i], POLLIN, 0});
}

// The value of the oldest completed register read that was not asked for yet. There must be one.
uint32_t niclab_read_value() {
    const uint32_t value = read_values.front();
    read_values.pop_front();
    return value;
}

// A frame, FCS included, whose preamble starts at `cycle`, or as soon as the wire is free.
void niclab_receive(uint64_t cycle, const uint8_t* bytes, uint64_t length) {
    if (length == 0) return;
    receiving.push_back({cycle, std::vector<uint8_t>(bytes, bytes + length), false});
    state.rest = 0;
}

// The next frame the NIC sent, preamble included: its length, or -1 if there is none, or -2 if it exceeds `room`.
int64_t niclab_sent(uint8_t* bytes, uint64_t room, uint64_t* cycle, uint8_t* error) {
    if (sent.empty()) return -1;
    const Frame& frame = sent.front();
    const int64_t length = int64_t(frame.bytes.size());
    if (frame.bytes.size() > room) return -2;
    std::memcpy(bytes, frame.bytes.data(), frame.bytes.size());
    *cycle = frame.cycle;
    *error = frame.error;
    sent.pop_front();
    return length;
}
}
