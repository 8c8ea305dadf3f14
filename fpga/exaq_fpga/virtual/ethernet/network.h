// A host's network code round a board: UDP datagrams of a socket in Ethernet frames, and back.
//
// Frames are octets from the destination's address to the check. What comes of a board is checked
// as strictly as the standards allow: Ethernet's check, ARP (RFC 826), IPv4 (RFC 791) and UDP
// (RFC 768) with their checksums.

#pragma once

#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

using Octets = std::vector<uint8_t>;

inline uint32_t crc32(const uint8_t* octets, size_t count) {
    uint32_t crc = ~0u;
    while (count--) {
        crc ^= *octets++;
        for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

// Ones' complement sum of 16-bit words, added to `sum`; not folded.
inline uint32_t add_words(uint32_t sum, const uint8_t* octets, size_t count) {
    for (size_t i = 0; i < count; ++i) sum += octets[i] << (i % 2 ? 0 : 8);
    return sum;
}

inline uint16_t folded(uint32_t sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(sum);
}

constexpr size_t kEthernet = 14, kIp = 20, kUdp = 8, kCheck = 4, kLeast = 60, kMost = 1514;
constexpr uint32_t kIpv4 = 0x0800, kArp = 0x0806;
constexpr uint8_t kUdpProtocol = 17;

inline void put(Octets& frame, uint32_t value, int octets) {
    while (octets--) frame.push_back(static_cast<uint8_t>(value >> 8 * octets));
}

inline uint32_t get(const uint8_t* octets, int count) {
    uint32_t value = 0;
    while (count--) value = value << 8 | *octets++;
    return value;
}

// A frame is given its padding and its check.
inline void seal(Octets& frame) {
    if (frame.size() < kLeast) frame.resize(kLeast);
    const uint32_t check = crc32(frame.data(), frame.size());
    for (int i = 0; i < 4; ++i) frame.push_back(static_cast<uint8_t>(check >> 8 * i));
}

struct Address {
    uint32_t ip;
    uint16_t port;
};

using Station = std::array<uint8_t, 6>;

// The host's end of the cable.
class Network {
public:
    // A socket of this machine alone, at a port that is free: hosts send to it instead of to `board`.
    Network(const char* address, uint16_t port) : board_{ntohl(inet_addr(address)), port} {
        socket_ = socket(AF_INET, SOCK_DGRAM, 0);
        sockaddr_in name = {};
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof name;
        if (bind(socket_, reinterpret_cast<sockaddr*>(&name), size) ||
            getsockname(socket_, reinterpret_cast<sockaddr*>(&name), &size)) {
            std::perror("no UDP socket");
            std::exit(1);
        }
        port_ = ntohs(name.sin_port);
        fcntl(socket_, F_SETFL, O_NONBLOCK);
    }

    // What hosts open.
    std::string name() const { return "udp:127.0.0.1:" + std::to_string(port_); }
    int descriptor() const { return socket_; }
    bool resolved() const { return resolved_; }

    // The frame that asks for the board's hardware address.
    Octets ask() const {
        Octets frame(6, 0xff);
        frame.insert(frame.end(), station_.begin(), station_.end());
        put(frame, kArp, 2);
        put(frame, 0x00010800, 4);
        put(frame, 0x06040001, 4);
        frame.insert(frame.end(), station_.begin(), station_.end());
        put(frame, asker(), 4);
        put(frame, 0, 2);
        put(frame, 0, 4);
        put(frame, board_.ip, 4);
        seal(frame);
        return frame;
    }

    // The next datagram of a host as a frame, or nothing. `octets` of it are the datagram's.
    bool receive(Octets& frame, size_t& octets) {
        uint8_t datagram[1 << 16];
        sockaddr_in from = {};
        socklen_t size = sizeof from;
        const ssize_t count = recvfrom(socket_, datagram, sizeof datagram, 0,
                                       reinterpret_cast<sockaddr*>(&from), &size);
        octets = static_cast<size_t>(count);
        if (count < 0 || kEthernet + kIp + kUdp + octets > kMost) return false;
        frame = datagram_frame({ntohl(from.sin_addr.s_addr), ntohs(from.sin_port)}, board_,
                               station_of_board_, datagram, octets);
        return true;
    }

    // A frame with a datagram of `from`.
    Octets datagram_frame(const Address& from, const Address& to, const Station& station,
                          const uint8_t* datagram, size_t octets) {
        Octets frame(station.begin(), station.end());
        frame.insert(frame.end(), station_.begin(), station_.end());
        put(frame, kIpv4, 2);
        put(frame, 0x4500, 2);
        put(frame, static_cast<uint32_t>(kIp + kUdp + octets), 2);
        put(frame, identification_++ << 16 | 0x4000, 4);
        put(frame, 64 << 8 | kUdpProtocol, 2);
        put(frame, 0, 2);
        put(frame, from.ip, 4);
        put(frame, to.ip, 4);
        const uint16_t ip_sum = ~folded(add_words(0, &frame[kEthernet], kIp));
        frame[kEthernet + 10] = static_cast<uint8_t>(ip_sum >> 8);
        frame[kEthernet + 11] = static_cast<uint8_t>(ip_sum);
        put(frame, from.port, 2);
        put(frame, to.port, 2);
        put(frame, static_cast<uint32_t>(kUdp + octets), 2);
        put(frame, 0, 2);
        frame.insert(frame.end(), datagram, datagram + octets);
        const uint16_t udp_sum = ~udp_total(frame.data(), kUdp + octets);
        const uint16_t sent = udp_sum ? udp_sum : 0xffff;
        frame[kEthernet + kIp + 6] = static_cast<uint8_t>(sent >> 8);
        frame[kEthernet + kIp + 7] = static_cast<uint8_t>(sent);
        seal(frame);
        return frame;
    }

    // How many octets the datagram in a frame of the board has: 0 where it holds none, -1 where
    // anything in it is wrong.
    int judge(const Octets& frame) const {
        if (frame.size() < kLeast + kCheck || frame.size() > kMost + kCheck) return -1;
        const uint8_t* check = &frame[frame.size() - kCheck];
        const uint32_t crc = crc32(frame.data(), frame.size() - kCheck);
        for (int i = 0; i < 4; ++i)
            if (check[i] != static_cast<uint8_t>(crc >> 8 * i)) return -1;
        if (std::memcmp(frame.data(), station_.data(), station_.size())) return -1;
        const uint8_t* body = &frame[kEthernet];
        if (get(&frame[12], 2) == kArp) return is_reply(&frame[6], body) ? 0 : -1;
        const uint32_t whole = get(body + 2, 2), length = get(body + kIp + 4, 2);
        const bool good = get(&frame[12], 2) == kIpv4 && body[0] == 0x45 &&
                          !(get(body + 6, 2) & 0xbfff) && body[8] && body[9] == kUdpProtocol &&
                          get(body + 12, 4) == board_.ip &&
                          folded(add_words(0, body, kIp)) == 0xffff &&
                          whole + kEthernet + kCheck <= frame.size() && whole == kIp + length &&
                          length > kUdp && get(body + kIp, 2) == board_.port &&
                          get(body + kIp + 6, 2) && udp_total(frame.data(), length) == 0xffff;
        return good ? static_cast<int>(length - kUdp) : -1;
    }

    // Takes a frame of the board: a datagram goes to its host.
    void deliver(const Octets& frame) {
        const int octets = judge(frame);
        if (octets == 0) {
            std::copy(&frame[6], &frame[12], station_of_board_.begin());
            resolved_ = true;
        }
        if (octets <= 0) return;
        const uint8_t* body = &frame[kEthernet];
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(get(body + 16, 4));
        to.sin_port = htons(static_cast<uint16_t>(get(body + kIp + 2, 2)));
        sendto(socket_, body + kIp + kUdp, static_cast<size_t>(octets), 0,
               reinterpret_cast<sockaddr*>(&to), sizeof to);
    }

    const Address& board() const { return board_; }
    const Station& station_of_board() const { return station_of_board_; }

private:
    // Of UDP's header and data in a frame, with the pseudo header.
    static uint16_t udp_total(const uint8_t* frame, size_t length) {
        const uint32_t sum = add_words(kUdpProtocol + static_cast<uint32_t>(length),
                                       frame + kEthernet + kIp - 8, 8 + length);
        return folded(sum);
    }

    bool is_reply(const uint8_t* source, const uint8_t* body) const {
        return get(body, 4) == 0x00010800 && get(body + 4, 4) == 0x06040002 &&
               !std::memcmp(source, body + 8, 6) && get(body + 14, 4) == board_.ip &&
               !std::memcmp(body + 18, station_.data(), 6) && get(body + 24, 4) == asker();
    }

    // The address that asks for the board's.
    uint32_t asker() const { return board_.ip ^ 1; }

    Address board_;
    Station station_ = {0x02, 0xab, 0xcd, 0x00, 0x00, 0x01}, station_of_board_ = {};
    uint32_t identification_ = 1;
    bool resolved_ = false;
    int socket_ = -1;
    uint16_t port_ = 0;
};
