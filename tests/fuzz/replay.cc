// The driver of the targets where there is no libFuzzer: every file of the corpora as it is, then a bounded number of
// changed ones, always the same for a seed. It finds less than a fuzzer that sees coverage, but it runs in every build,
// needs no other compiler, and holds each promise to what was found before.
//
//   fuzz_NAME [-runs=N] [-seed=N] [-max_len=N] [-dict=FILE] [-artifact_prefix=FOLDER/] FILE_OR_FOLDER…
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::string;

struct Options {
  std::uint64_t runs = 2000;
  std::uint64_t seed = 1;
  std::size_t max_len = 4096;
  std::string dictionary;
  std::string artifacts;
  std::vector<std::string> corpora;
};

// What was running when the process died.
Bytes current;
std::string artifact;

void keep_current(int signal) {
  const int file = ::open(artifact.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool kept = file >= 0 && ::write(file, current.data(), current.size()) == static_cast<ssize_t>(current.size());
  constexpr std::string_view kKept = "the input is in ", kLost = "the input could not be kept\n";
  if (kept) {
    static_cast<void>(!::write(2, kKept.data(), kKept.size()));
    static_cast<void>(!::write(2, artifact.data(), artifact.size()));
    static_cast<void>(!::write(2, "\n", 1));
  } else {
    static_cast<void>(!::write(2, kLost.data(), kLost.size()));
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run_one(const Bytes& input) {
  current = input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current.data()), current.size());
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

std::vector<Bytes> read_corpora(const Options& options) {
  std::vector<std::filesystem::path> files;
  for (const std::string& name : options.corpora) {
    if (!std::filesystem::is_directory(name)) {
      files.emplace_back(name);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(name)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());  // the same order everywhere
  std::vector<Bytes> corpus;
  for (const auto& path : files)
    corpus.push_back(read_file(path));
  return corpus;
}

// The words of an AFL dictionary: [name=]"word" with \\, \" and \xHH.
std::vector<Bytes> read_dictionary(const std::string& path) {
  std::vector<Bytes> words;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t open = line.find('"');
    const std::size_t close = line.rfind('"');
    if (line.starts_with('#') || open == line.npos || close <= open) continue;
    Bytes word;
    for (std::size_t i = open + 1; i < close; ++i) {
      if (line[i] == '\\' && i + 3 < close + 1 && line[i + 1] == 'x') {
        word += static_cast<char>(std::stoi(line.substr(i + 2, 2), nullptr, 16));
        i += 3;
      } else {
        if (line[i] == '\\') ++i;
        word += line[i];
      }
    }
    words.push_back(std::move(word));
  }
  return words;
}

class Mutator {
 public:
  Mutator(const std::vector<Bytes>& corpus, const std::vector<Bytes>& words, const Options& options)
      : corpus_(corpus), words_(words), max_len_(options.max_len), chance_(options.seed) {}

  Bytes next() {
    Bytes input = corpus_.empty() ? Bytes() : corpus_[below(corpus_.size())];
    for (std::size_t n = 1 + below(6); n > 0; --n)
      change(input);
    if (input.size() > max_len_) input.resize(max_len_);
    return input;
  }

 private:
  // Not a distribution of the library's: those differ from one library to another.
  std::size_t below(std::size_t count) { return count == 0 ? 0 : static_cast<std::size_t>(chance_() % count); }
  char byte() { return static_cast<char>(below(256)); }
  char odd_byte() {
    constexpr std::string_view kOdd(
        "\0\1\2\3\4\5\6\n\r\t \"'\\{}[](),.:;=&%#?/+-_0189aAzZ~\x7f\x80\xbf\xc2\xe2\xef\xff", 55);
    return kOdd[below(kOdd.size())];
  }

  void change(Bytes& in) {
    const std::size_t at = below(in.size() + 1);
    const bool inside = at < in.size();
    switch (below(11)) {
      case 0:
        if (inside) in[at] = static_cast<char>(in[at] ^ (1 << below(8)));
        break;
      case 1:
        if (inside) in[at] = byte();
        break;
      case 2:
        if (inside) in[at] = odd_byte();
        break;
      case 3: in.insert(at, 1, odd_byte()); break;
      case 4: in.insert(at, 1 + below(4), byte()); break;
      case 5: in.erase(at, 1 + below(8)); break;
      case 6: in.erase(at, below(in.size() + 1)); break;
      case 7: in.insert(at, in.substr(below(in.size() + 1), below(64))); break;
      case 8:
        if (!words_.empty()) in.insert(at, words_[below(words_.size())]);
        break;
      case 9: splice(in, at); break;
      case 10: number(in, at); break;
    }
  }

  void splice(Bytes& in, std::size_t at) {
    if (corpus_.empty()) return;
    const Bytes& other = corpus_[below(corpus_.size())];
    const Bytes part = other.substr(below(other.size() + 1), 1 + below(other.size() + 1));
    if (below(2) == 0)
      in.insert(at, part);
    else
      in.replace(at, below(in.size() + 1), part);
  }

  void number(Bytes& in, std::size_t at) {
    static constexpr const char* kNumbers[] = {"0",
                                               "-1",
                                               "1",
                                               "65536",
                                               "1e9",
                                               "1e400",
                                               "4294967295",
                                               "9223372036854775808",
                                               "00",
                                               "0x10",
                                               "99999999999999999999",
                                               "18446744073709551615"};
    const std::size_t from = std::min(in.find_first_of("0123456789", at), in.size());
    const std::size_t to = std::min(in.find_first_not_of("0123456789", from), in.size());
    in.replace(from, to - from, kNumbers[below(std::size(kNumbers))]);
  }

  const std::vector<Bytes>& corpus_;
  const std::vector<Bytes>& words_;
  std::size_t max_len_;
  std::mt19937_64 chance_;
};

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string value = argument.substr(std::min(argument.find('=') + 1, argument.size()));
    if (argument.starts_with("-runs="))
      options.runs = std::stoull(value);
    else if (argument.starts_with("-seed="))
      options.seed = std::stoull(value);
    else if (argument.starts_with("-max_len="))
      options.max_len = std::stoull(value);
    else if (argument.starts_with("-dict="))
      options.dictionary = value;
    else if (argument.starts_with("-artifact_prefix="))
      options.artifacts = value;
    else
      options.corpora.push_back(argument);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  artifact = options.artifacts + "crash-" + std::filesystem::path(argv[0]).filename().string();
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL})
    std::signal(signal, keep_current);
  const std::vector<Bytes> corpus = read_corpora(options);
  if (corpus.empty() && !options.corpora.empty()) {
    std::fprintf(stderr, "there is no corpus: the fuzzer looks in the wrong place\n");
    return 2;
  }
  for (const Bytes& input : corpus)
    run_one(input);
  const std::vector<Bytes> words = read_dictionary(options.dictionary);
  Mutator mutator(corpus, words, options);
  for (std::uint64_t n = 0; n < options.runs; ++n)
    run_one(mutator.next());
  std::printf("%zu inputs of the corpus and %llu changed ones: every promise held\n", corpus.size(),
              static_cast<unsigned long long>(options.runs));
  return 0;
}
