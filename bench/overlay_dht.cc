/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The peer: so many OpenDHT nodes on loopback, each in a process of its own,
 * of which the last is also the client.  Puts signed values, gets each again
 * from another node than put it, counts copies.
 *
 *   overlay_dht NODES VALUES BYTES AT-ONCE
 *
 * Keys are RSA of 2048 bits: what OpenDHT 2.4 signs by elliptic curves, it does
 * not verify.
 * Lines: opendht put|get COUNT SECONDS CPU-US CLIENT-US OTHERS-US BYTES, and
 * opendht copies COUNT. */
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <opendht.h>

namespace
{

[[noreturn]] void die(const char *what)
{
    fprintf(stderr, "overlay_dht: %s\n", what);
    exit(1);
}

uint64_t us_of_ticks(unsigned long long ticks)
{
    return ticks * 1000000ULL / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
}

uint64_t cpu_of(pid_t pid)
{
    unsigned long long user = 0, system = 0;
    std::string path = "/proc/" + std::to_string(pid) + "/stat";
    char text[1024];
    FILE *file = fopen(path.c_str(), "re");
    size_t n;

    if (!file) die("a node is gone");
    n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    char *p = strrchr(text, ')');
    if (!p ||
        sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
               &user, &system) != 2)
        die("no CPU time");
    return us_of_ticks(user + system);
}

uint64_t cpu_of_all()
{
    unsigned long long t[6];
    FILE *file = fopen("/proc/stat", "re");

    if (!file || fscanf(file, "cpu %llu %llu %llu %*u %*u %llu %llu %llu",
                        &t[0], &t[1], &t[2], &t[3], &t[4], &t[5]) != 6)
        die("/proc/stat");
    fclose(file);
    return us_of_ticks(t[0] + t[1] + t[2] + t[3] + t[4] + t[5]);
}

double mono_s()
{
    timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<double>(ts.tv_sec) +
           1e-9 * static_cast<double>(ts.tv_nsec);
}

/* Loopback alone, and none of the limits that are meant for strangers. */
void run(dht::DhtRunner &runner, const dht::crypto::Identity &who)
{
    dht::DhtRunner::Config config;

    config.dht_config.id = who;
    config.dht_config.node_config.max_req_per_sec = -1;
    config.dht_config.node_config.max_peer_req_per_sec = -1;
    config.dht_config.node_config.max_searches = -1;
    config.dht_config.node_config.max_store_size = -1;
    config.dht_config.node_config.max_store_keys = -1;
    config.bind4.setFamily(AF_INET);
    config.bind4.setAddress("127.0.0.1");
    config.bind4.setPort(0);
    runner.run(config, dht::DhtRunner::Context{});
}

struct child {
    pid_t pid;
    int in, out; /* pipes to and from it */
};

void send_u64(int fd, uint64_t n)
{
    if (write(fd, &n, sizeof n) != sizeof n) die("a pipe is closed");
}

uint64_t hear_u64(int fd)
{
    uint64_t n = 0;

    if (read(fd, &n, sizeof n) != sizeof n) die("a node ended");
    return n;
}

/* One node: its port out, whom to link to in, and at the word how many values
 * it holds. */
[[noreturn]] void be_node(int in, int out)
{
    dht::DhtRunner runner;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run(runner, dht::crypto::generateIdentity("node", {}, 2048));
    send_u64(out, runner.getBoundPort());
    runner.bootstrap("127.0.0.1", std::to_string(hear_u64(in)));
    hear_u64(in);
    send_u64(out, runner.getStoreSize().second);
    hear_u64(in);
    _exit(0);
}

child start_node()
{
    int to[2], from[2];
    child c;

    if (pipe(to) || pipe(from)) die("no pipe");
    c.pid = fork();
    if (c.pid < 0) die("no process");
    if (c.pid == 0) {
        close(to[1]);
        close(from[0]);
        be_node(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    c.in = to[1];
    c.out = from[0];
    return c;
}

/* So many at a time. */
class gate
{
  public:
    explicit gate(size_t most) : room(most), most(most)
    {
    }
    void enter()
    {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return room > 0; });
        room--;
    }
    void leave(bool good)
    {
        std::lock_guard<std::mutex> lock(mutex);
        room++;
        bad += !good;
        changed.notify_all();
    }
    size_t all_out()
    {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return room == most; });
        return bad;
    }

  private:
    std::mutex mutex;
    std::condition_variable changed;
    size_t room, most, bad = 0;
};

struct world {
    std::vector<child> nodes;
    size_t values, bytes, at_once, packed = 0;
    double from_s;
    uint64_t nodes_us, self_us, all_us;
};

uint64_t cpu_of_nodes(const world &w)
{
    uint64_t us = 0;

    for (const auto &c : w.nodes)
        us += cpu_of(c.pid);
    return us;
}

void begin(world &w)
{
    w.nodes_us = cpu_of_nodes(w);
    w.self_us = cpu_of(getpid());
    w.all_us = cpu_of_all();
    w.from_s = mono_s();
}

void report(const world &w, const char *what)
{
    double took_s = mono_s() - w.from_s;
    uint64_t all_us = cpu_of_all() - w.all_us;
    uint64_t self_us = cpu_of(getpid()) - w.self_us;
    uint64_t nodes_us = cpu_of_nodes(w) - w.nodes_us;
    uint64_t own_us = self_us + nodes_us;

    printf(
        "opendht %s %zu %.3f %llu %llu %llu %zu\n", what, w.values, took_s,
        static_cast<unsigned long long>(own_us),
        static_cast<unsigned long long>(self_us),
        static_cast<unsigned long long>(all_us > own_us ? all_us - own_us : 0),
        w.packed);
    fflush(stdout);
}

std::vector<uint8_t> content(const world &w, size_t i)
{
    std::vector<uint8_t> data(w.bytes);

    for (size_t k = 0; k < data.size(); k++)
        data[k] = static_cast<uint8_t>((i * 131 + k * 7) >> (k % 3));
    memcpy(data.data(), &i, sizeof i);
    return data;
}

dht::InfoHash place(size_t i)
{
    return dht::InfoHash::get("value " + std::to_string(i));
}

void put_all(world &w, dht::DhtRunner &runner)
{
    gate at_once(w.at_once);

    begin(w);
    for (size_t i = 0; i < w.values; i++) {
        auto value = std::make_shared<dht::Value>(content(w, i));

        at_once.enter();
        runner.putSigned(place(i), value,
                         [&at_once](bool good) { at_once.leave(good); });
    }
    if (at_once.all_out()) die("a put failed");
    report(w, "put");
}

void get_all(world &w, dht::DhtRunner &runner)
{
    gate at_once(w.at_once);

    begin(w);
    for (size_t i = 0; i < w.values; i++) {
        auto found = std::make_shared<bool>(false);

        at_once.enter();
        /* What comes here has been verified; false: enough. */
        runner.get(
            place(i),
            [&w, found, i](const std::shared_ptr<dht::Value> &value) {
                if (value->isSigned() && value->data == content(w, i)) {
                    w.packed = value->getPacked().size();
                    *found = true;
                }
                return !*found;
            },
            [&at_once, found](bool) { at_once.leave(*found); });
    }
    if (at_once.all_out()) die("a get failed");
    report(w, "get");
}

/* Until it has known as many nodes for five seconds as it gets to know: it keeps
 * some of each part of the ring, not all. */
void settle(dht::DhtRunner &runner)
{
    unsigned good = 0, before = 0;

    for (int i = 0, same = 0; i < 600 && same < 50; i++) {
        runner.getNodesStats(AF_INET, &good, nullptr, nullptr, nullptr);
        same = good && good == before ? same + 1 : 0;
        before = good;
        poll(nullptr, 0, 100);
    }
    if (!good) die("it knows no other node");
}

} // namespace

int main(int argc, char **argv)
{
    world w;
    size_t nodes;

    if (argc != 5) return 2;
    nodes = strtoul(argv[1], nullptr, 10);
    w.values = strtoul(argv[2], nullptr, 10);
    w.bytes = strtoul(argv[3], nullptr, 10);
    w.at_once = strtoul(argv[4], nullptr, 10);
    if (nodes < 2 || !w.values || w.bytes < sizeof(size_t) || !w.at_once)
        return 2;
    for (size_t i = 0; i + 1 < nodes; i++)
        w.nodes.push_back(start_node());
    uint64_t first = 0;
    for (const auto &c : w.nodes) {
        uint64_t port = hear_u64(c.out);

        if (!first) first = port;
    }
    for (const auto &c : w.nodes)
        send_u64(c.in, first);
    {
        dht::DhtRunner runner;

        run(runner, dht::crypto::generateIdentity("client", {}, 2048));
        runner.bootstrap("127.0.0.1", std::to_string(first));
        settle(runner);
        put_all(w, runner);
        get_all(w, runner);
        uint64_t copies = runner.getStoreSize().second;
        for (const auto &c : w.nodes) {
            send_u64(c.in, 0);
            copies += hear_u64(c.out);
        }
        printf("opendht copies %llu\n",
               static_cast<unsigned long long>(copies));
        runner.join();
    }
    for (const auto &c : w.nodes) {
        send_u64(c.in, 0);
        waitpid(c.pid, nullptr, 0);
    }
    return 0;
}
