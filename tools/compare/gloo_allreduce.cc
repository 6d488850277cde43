// SPDX-License-Identifier: Apache-2.0
// Dense float32 sum allreduce by Gloo over TCP, one process a rank; timed as `weft bench allreduce`
// times weft, so that the figures stand side by side:
//  - a barrier, then the operation; an operation takes as long as its slowest process;
//  - warm-ups, then -i operations or, with 0, at least 5, until 0.3 s are measured; median of them;
//  - buffers get their values before every operation, every element of the last result is checked.
// Gloo works in place, which is what its algorithms do without a copy. malloc is told to keep
// memory as the program weft tells it: gloo::allreduce allocates its segments for every operation.
//
//   gloo_allreduce [-i ITERS] [-w WARMUPS] ALGO PEERS BYTES...
//       all ranks, on 127.0.0.1; one JSON object a line for every size
//   gloo_allreduce --rank R --address A --folder F [-i ITERS] [-w WARMUPS] ALGO PEERS BYTES...
//       one rank at its own address; all meet in the folder, which must be empty before
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gloo/allreduce.h>
#include <gloo/allreduce_bcube.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/allreduce_ring.h>
#include <gloo/allreduce_ring_chunked.h>
#include <gloo/barrier.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

namespace
{

using Clock = std::chrono::steady_clock;
using Floats = std::vector<float>;
using Operation = std::function<void()>;

constexpr size_t iterations_least = 5, iterations_most = 20000;
constexpr double seconds_wanted = 0.3;
constexpr std::chrono::seconds patience{60};
constexpr int period = 1021; // prime: values do not repeat with the cuts of any algorithm
enum Status { done = 0, wrong_result = 1, bad_usage = 2, no_such_case = 3 };

// What is asked for.
struct Task {
    std::string algo, address = "127.0.0.1", folder;
    int rank = -1, size = 0; // -1: all of them
    size_t iterations = 0, warmups = 2;
    std::vector<size_t> sizes;
};

// A rank's end of the job.
class Peer
{
  public:
    Peer(const Task &task, int rank)
        : context_(std::make_shared<gloo::rendezvous::Context>(rank, task.size))
    {
        gloo::transport::tcp::attr where(task.address.c_str());
        std::shared_ptr<gloo::transport::Device> device = gloo::transport::tcp::CreateDevice(where);
        gloo::rendezvous::FileStore store(task.folder);
        context_->setTimeout(patience);
        context_->connectFullMesh(store, device);
    }

    int rank() const
    {
        return context_->rank;
    }

    int size() const
    {
        return context_->size;
    }

    const std::shared_ptr<gloo::rendezvous::Context> &context() const
    {
        return context_;
    }

    // Operations are told apart by their tags.
    uint32_t next_tag()
    {
        return tag_++;
    }

    void barrier()
    {
        gloo::BarrierOptions options(context_);
        options.setTag(next_tag());
        gloo::barrier(options);
    }

    // Every element becomes the reduction over all ranks, by the interface of options.
    template <typename T>
    void reduce(T *values, size_t count,
                void (*function)(void *, const void *, const void *, size_t),
                gloo::AllreduceOptions::Algorithm algorithm)
    {
        gloo::AllreduceOptions options(context_);
        options.setAlgorithm(algorithm);
        options.setOutput(values, count);
        options.setReduceFunction(function);
        options.setTag(next_tag());
        gloo::allreduce(options);
    }

  private:
    std::shared_ptr<gloo::rendezvous::Context> context_;
    uint32_t tag_ = 1;
};

// The classes that set up their buffers once and run many times.
template <typename Algorithm> Operation prepared(Peer &peer, Floats &values)
{
    const std::vector<float *> pointers{values.data()};
    auto algorithm =
        std::make_shared<Algorithm>(peer.context(), pointers, static_cast<int>(values.size()));
    return [algorithm] { algorithm->run(); };
}

template <gloo::AllreduceOptions::Algorithm algorithm>
Operation by_options(Peer &peer, Floats &values)
{
    return [&peer, &values] {
        peer.reduce(values.data(), values.size(), &gloo::sum<float>, algorithm);
    };
}

struct Row {
    const char *name;
    Operation (*make)(Peer &peer, Floats &values);
};

constexpr Row algorithms[] = {
    {"ring", prepared<gloo::AllreduceRing<float>>},
    {"ring_chunked", prepared<gloo::AllreduceRingChunked<float>>},
    {"halving_doubling", prepared<gloo::AllreduceHalvingDoubling<float>>},
    {"bcube", prepared<gloo::AllreduceBcube<float>>},
    {"allreduce_ring", by_options<gloo::AllreduceOptions::Algorithm::RING>},
    {"allreduce_bcube", by_options<gloo::AllreduceOptions::Algorithm::BCUBE>},
};

// Small whole numbers: their sums are exact in any order.
float contribution(int rank, size_t i)
{
    return static_cast<float>((i + 257 * static_cast<size_t>(rank)) % period % 11);
}

Floats pattern_of(int rank)
{
    Floats pattern(period);
    for (size_t i = 0; i < pattern.size(); i++)
        pattern[i] = contribution(rank, i);
    return pattern;
}

Floats pattern_of_sum(int size)
{
    Floats pattern(period);
    for (size_t i = 0; i < pattern.size(); i++)
        for (int rank = 0; rank < size; rank++)
            pattern[i] += contribution(rank, i);
    return pattern;
}

void fill(const Floats &pattern, Floats &values)
{
    for (size_t at = 0; at < values.size(); at += pattern.size())
        std::copy_n(pattern.begin(), std::min(pattern.size(), values.size() - at),
                    values.begin() + static_cast<std::ptrdiff_t>(at));
}

size_t count_wrong(const Floats &pattern, const Floats &values)
{
    size_t wrong = 0;
    for (size_t i = 0; i < values.size(); i++)
        wrong += values[i] != pattern[i % pattern.size()];
    return wrong;
}

// Append the times, in seconds, of more operations; alike on all ranks.
void iterate(Peer &peer, const Operation &operation, const Floats &pattern, Floats &values,
             size_t more, std::vector<double> &times)
{
    const size_t before = times.size();
    for (size_t i = 0; i < more; i++) {
        fill(pattern, values);
        peer.barrier();
        const Clock::time_point start = Clock::now();
        operation();
        times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    if (more > 0)
        peer.reduce(times.data() + before, more, &gloo::max<double>,
                    gloo::AllreduceOptions::Algorithm::RING);
}

// One size; rank 0 prints. Returns whether the result was right everywhere.
bool measure(Peer &peer, const Row &row, const Task &task, size_t bytes)
{
    Floats values(bytes / sizeof(float));
    const Floats mine = pattern_of(peer.rank());
    const Operation operation = row.make(peer, values);
    std::vector<double> times;
    for (size_t i = 0; i < task.warmups; i++) {
        fill(mine, values);
        operation();
    }
    const size_t first = task.iterations > 0 ? task.iterations : iterations_least;
    iterate(peer, operation, mine, values, first, times);
    double sum = 0.0;
    for (double seconds : times)
        sum += seconds;
    const double wanted = seconds_wanted / (sum / static_cast<double>(times.size()));
    const auto most = static_cast<size_t>(std::min(wanted, static_cast<double>(iterations_most)));
    if (task.iterations == 0 && most > first)
        iterate(peer, operation, mine, values, most - first, times);

    auto wrong = static_cast<double>(count_wrong(pattern_of_sum(peer.size()), values));
    peer.reduce(&wrong, 1, &gloo::sum<double>, gloo::AllreduceOptions::Algorithm::RING);
    if (peer.rank() == 0) {
        std::sort(times.begin(), times.end());
        const size_t n = times.size();
        const double median = (times[(n - 1) / 2] + times[n / 2]) / 2;
        std::printf("{\"algo\": \"%s\", \"peers\": %d, \"size\": %zu, \"iters\": %zu, "
                    "\"p50_us\": %.3f, \"min_us\": %.3f, \"wrong\": %.0f}\n",
                    row.name, peer.size(), values.size() * sizeof(float), n, median * 1e6,
                    times[0] * 1e6, wrong);
        std::fflush(stdout);
    }
    peer.barrier();
    return wrong == 0.0;
}

// What the process of one rank does.
int serve(const Row &row, const Task &task, int rank)
{
    try {
        Peer peer(task, rank);
        bool right = true;
        for (size_t bytes : task.sizes)
            right = measure(peer, row, task, bytes) && right;
        return right ? done : wrong_result;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "gloo_allreduce: %s, rank %d of %d: %s\n", row.name, rank, task.size,
                     error.what());
        return no_such_case;
    }
}

// Start a process for every rank before Gloo has any thread, wait for all, and if one fails end
// those that would wait for it in vain.
int run(const Row &row, const Task &task)
{
    std::vector<pid_t> ranks;
    int worst = done;
    for (int rank = 0; rank < task.size; rank++) {
        const pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            std::_Exit(serve(row, task, rank));
        }
        if (pid < 0)
            throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
        ranks.push_back(pid);
    }
    signal(SIGINT, SIG_IGN); // the ranks end by it, and what is left behind is removed below
    while (!ranks.empty()) {
        int status = 0;
        const pid_t pid = waitpid(-1, &status, 0);
        ranks.erase(std::remove(ranks.begin(), ranks.end(), pid), ranks.end());
        const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (code != done && code != wrong_result && worst <= wrong_result)
            for (pid_t other : ranks)
                kill(other, SIGTERM);
        worst = worst <= wrong_result ? std::max(worst, code) : worst;
    }
    return worst;
}

size_t parse(const char *text, const char *what, size_t least, size_t most)
{
    size_t value = 0;
    const char *end = text + std::strlen(text);
    const std::from_chars_result read = std::from_chars(text, end, value);
    if (read.ec != std::errc() || read.ptr != end || value < least || value > most)
        throw std::invalid_argument(std::string(what) + " '" + text + "': a whole number from " +
                                    std::to_string(least) + " to " + std::to_string(most));
    return value;
}

const Row &find(const std::string &name)
{
    std::string known;
    for (const Row &row : algorithms) {
        if (name == row.name)
            return row;
        known += std::string(" ") + row.name;
    }
    throw std::invalid_argument("unknown algorithm '" + name + "'; known:" + known);
}

// A folder for the ranks to meet in, gone with its end.
class Folder
{
  public:
    Folder()
    {
        path_ = (std::filesystem::temp_directory_path() / "gloo-allreduce-XXXXXX").string();
        if (mkdtemp(path_.data()) == nullptr)
            throw std::runtime_error(path_ + ": " + std::strerror(errno));
    }
    ~Folder()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;

    const std::string &path() const
    {
        return path_;
    }

  private:
    std::string path_;
};

constexpr char usage[] = "usage: gloo_allreduce [--rank R --address A --folder F] [-i ITERS] "
                         "[-w WARMUPS] ALGO PEERS BYTES... | --list";

Task read(int argc, char **argv)
{
    Task task;
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        const std::string option = argv[at];
        const char *value = argv[at + 1];
        if (option == "--rank")
            task.rank = static_cast<int>(parse(value, "--rank", 0, 1023));
        else if (option == "--address")
            task.address = value;
        else if (option == "--folder")
            task.folder = value;
        else if (option == "-i")
            task.iterations = parse(value, "-i", 0, 1000000);
        else if (option == "-w")
            task.warmups = parse(value, "-w", 0, 1000000);
        else
            throw std::invalid_argument("unknown option " + option + "\n" + usage);
    }
    if (argc - at < 3 || (task.rank >= 0) == task.folder.empty())
        throw std::invalid_argument(usage);
    task.algo = argv[at];
    task.size = static_cast<int>(parse(argv[at + 1], "PEERS", 2, 1024));
    if (task.rank >= task.size)
        throw std::invalid_argument("--rank is not below PEERS");
    for (int i = at + 2; i < argc; i++) // Gloo counts elements in an int
        task.sizes.push_back(parse(argv[i], "BYTES", sizeof(float),
                                   sizeof(float) * size_t{std::numeric_limits<int>::max()}));
    return task;
}

} // namespace

int main(int argc, char **argv)
{
    constexpr int mib = 1 << 20;
    mallopt(M_MMAP_THRESHOLD, 32 * mib);
    mallopt(M_TRIM_THRESHOLD, 512 * mib);
    mallopt(M_TOP_PAD, 4 * mib);
    try {
        if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
            for (const Row &row : algorithms)
                std::puts(row.name);
            return done;
        }
        Task task = read(argc, argv);
        const Row &row = find(task.algo);
        if (task.rank >= 0)
            return serve(row, task, task.rank);
        const Folder folder;
        task.folder = folder.path();
        return run(row, task);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "gloo_allreduce: %s\n", error.what());
        return bad_usage;
    }
}
