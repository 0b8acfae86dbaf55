#include "daemon/store/codec.h"

#include <bit>
#include <concepts>
#include <utility>

#include "base/check.h"

namespace credsync::store {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kAnswerVersion = 2;  // 1 had no promises; a start after an upgrade may find one
enum class AnswerKind : std::uint64_t { kInstall = 1, kUpdateParked = 2, kQueueRetirements = 3 };
// A damaged count must not make us allocate without end; no answer of 64 KiB has as many.
constexpr std::uint64_t kMostElements = 65536;

// Counts first, writes second: a string that grows would leave pieces of secrets in freed memory.
class Encoder {
 public:
  explicit Encoder(std::string* out) : out_(out) {}
  std::size_t size() const { return size_; }

  void put(std::uint64_t number) {
    char bytes[8];
    for (unsigned i = 0; i < 8; ++i)
      bytes[i] = static_cast<char>(number >> (8 * i));
    append({bytes, sizeof bytes});
  }
  void put(std::int64_t number) { put(static_cast<std::uint64_t>(number)); }
  void put(bool flag) { put(std::uint64_t{flag}); }
  void put(double number) { put(std::bit_cast<std::uint64_t>(number)); }
  void put(WallTime time) { put(std::int64_t{time.time_since_epoch().count()}); }
  void put(Duration duration) { put(std::int64_t{duration.count()}); }
  void put(std::string_view text) {
    put(std::uint64_t{text.size()});
    append(text);
  }
  void put(const std::string& text) { put(std::string_view(text)); }
  void put(const Secret& secret) { put(secret.expose()); }
  template <typename T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }

 private:
  void append(std::string_view bytes) {
    size_ += bytes.size();
    if (out_ != nullptr) out_->append(bytes);
  }
  std::string* out_;
  std::size_t size_ = 0;
};

template <typename Put>
WipedString encode(Put&& put) {
  Encoder count(nullptr);
  put(count);
  WipedString out;
  out.text().reserve(count.size());
  Encoder writer(&out.text());
  put(writer);
  return out;
}

// Reads what Encoder wrote; after the first thing that is not there, everything is zero and done() says no.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return !failed_ && rest_.empty(); }
  void fail() { failed_ = true; }

  std::uint64_t number() {
    if (failed_ || rest_.size() < 8) return fail(), 0;
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i)
      value |= std::uint64_t{static_cast<unsigned char>(rest_[i])} << (8 * i);
    rest_.remove_prefix(8);
    return value;
  }
  std::int64_t signed_number() { return static_cast<std::int64_t>(number()); }
  bool flag() { return number() != 0; }
  double real() { return std::bit_cast<double>(number()); }
  WallTime time() { return WallTime(Duration(signed_number())); }
  std::string_view view() {
    const std::uint64_t size = number();
    if (failed_ || size > rest_.size()) return fail(), std::string_view();
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return text;
  }
  std::string text() { return std::string(view()); }
  Secret secret() { return Secret(view()); }
  std::optional<WallTime> optional_time() { return flag() ? std::optional<WallTime>(time()) : std::nullopt; }
  std::uint64_t count() {
    const std::uint64_t n = number();
    if (n > kMostElements) return fail(), 0;
    return failed_ ? 0 : n;
  }
  std::uint64_t version(std::uint64_t newest = kVersion) {
    const std::uint64_t found = number();
    if (found == 0 || found > newest) fail();
    return found;
  }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

void put_tokens(Encoder& out, const account::TokenSet& t) {
  out.put(t.access_token);
  out.put(t.refresh_token);
  out.put(t.id_token);
  out.put(t.token_type);
  out.put(std::uint64_t{t.scope.size()});
  for (const std::string& scope : t.scope)
    out.put(scope);
  out.put(t.obtained_at);
  out.put(t.expires_at);
  out.put(t.refresh_in);
  out.put(t.refresh_expires_at);
  out.put(t.jitter);
  out.put(std::uint64_t{t.extra.size()});
  for (const auto& [key, value] : t.extra) {
    out.put(key);
    out.put(value);
  }
  out.put(t.subject);
}

account::TokenSet get_tokens(Decoder& in) {
  account::TokenSet t;
  t.access_token = in.secret();
  t.refresh_token = in.secret();
  t.id_token = in.secret();
  t.token_type = in.text();
  for (std::uint64_t n = in.count(); n > 0; --n)
    t.scope.push_back(in.text());
  t.obtained_at = in.time();
  t.expires_at = in.optional_time();
  if (in.flag()) t.refresh_in = Duration(in.signed_number());
  t.refresh_expires_at = in.optional_time();
  t.jitter = in.real();
  for (std::uint64_t n = in.count(); n > 0; --n) {
    std::string key = in.text();
    t.extra[std::move(key)] = in.text();
  }
  t.subject = in.text();
  return t;
}

void put_standing(Encoder& out, const Standing& s) {
  out.put(static_cast<std::uint64_t>(s.state));
  out.put(s.since);
  out.put(s.trouble.has_value());
  if (!s.trouble) return;
  out.put(s.trouble->error_class);
  out.put(s.trouble->code);
  out.put(s.trouble->words);
  out.put(s.trouble->at);
}

Standing get_standing(Decoder& in) {
  Standing s;
  const std::uint64_t state = in.number();
  if (state > static_cast<std::uint64_t>(State::kSignedOut)) in.fail();
  s.state = static_cast<State>(state);
  s.since = in.time();
  if (!in.flag()) return s;
  Trouble& trouble = s.trouble.emplace();
  trouble.error_class = in.text();
  trouble.code = in.text();
  trouble.words = in.text();
  trouble.at = in.time();
  return s;
}

void put_retirements(Encoder& out, const std::vector<Retirement>& list) {
  out.put(std::uint64_t{list.size()});
  for (const Retirement& r : list) {
    out.put(r.id);
    out.put(r.account);
    out.put(r.identity);
    out.put(r.generation);
    out.put(static_cast<std::uint64_t>(r.kind));
    out.put(r.token);
    out.put(r.order);
    out.put(r.not_before);
    out.put(r.give_up_at);
    out.put(std::uint64_t{r.attempts});
    out.put(r.by_sign_out);
  }
}

std::vector<Retirement> get_retirements(Decoder& in) {
  std::vector<Retirement> list;
  for (std::uint64_t n = in.count(); n > 0; --n) {
    Retirement& r = list.emplace_back();
    r.id = in.signed_number();
    r.account = in.text();
    r.identity = in.text();
    r.generation = in.number();
    r.kind = in.number() == 0 ? RetiredKind::kAccess : RetiredKind::kRefresh;
    r.token = in.secret();
    r.order = in.secret();
    r.not_before = in.time();
    r.give_up_at = in.time();
    r.attempts = static_cast<unsigned>(in.number());
    r.by_sign_out = in.flag();
  }
  return list;
}

void put_answer(Encoder& out, const Install& install) {
  out.put(static_cast<std::uint64_t>(AnswerKind::kInstall));
  out.put(install.account);
  out.put(install.identity);
  out.put(install.generation);
  put_tokens(out, install.tokens);
  put_retirements(out, install.retire);
  put_standing(out, install.standing);
  out.put(install.password_used);
  out.put(install.kept_password);
  out.put(install.replace_kept_password);
  out.put(install.promised_until);
}

void put_answer(Encoder& out, const UpdateParked& update) {
  out.put(static_cast<std::uint64_t>(AnswerKind::kUpdateParked));
  out.put(update.parked_id);
  out.put(update.generation);
  put_tokens(out, update.tokens);
  put_retirements(out, update.retire);
}

void put_answer(Encoder& out, const QueueRetirements& queue) {
  out.put(static_cast<std::uint64_t>(AnswerKind::kQueueRetirements));
  put_retirements(out, queue.retire);
}

Install get_install(Decoder& in, std::uint64_t version) {
  Install install;
  install.account = in.text();
  install.identity = in.text();
  install.generation = in.number();
  install.tokens = get_tokens(in);
  install.retire = get_retirements(in);
  install.standing = get_standing(in);
  install.password_used = in.flag();
  install.kept_password = in.secret();
  install.replace_kept_password = in.flag();
  if (version > 1) install.promised_until = in.time();
  return install;
}

UpdateParked get_update_parked(Decoder& in) {
  UpdateParked update;
  update.parked_id = in.signed_number();
  update.generation = in.number();
  update.tokens = get_tokens(in);
  update.retire = get_retirements(in);
  return update;
}

Error undecodable(std::string_view what) {
  return corrupt("stored " + std::string(what) + " cannot be decoded");
}

}  // namespace

WipedString encode_tokens(const account::TokenSet& tokens) {
  return encode([&](Encoder& out) {
    out.put(kVersion);
    put_tokens(out, tokens);
  });
}

Result<account::TokenSet> decode_tokens(std::string_view bytes) {
  Decoder in(bytes);
  in.version();
  account::TokenSet tokens = get_tokens(in);
  if (!in.done()) return undecodable("tokens");
  return tokens;
}

WipedString encode_retirement(const Retirement& retirement) {
  return encode([&](Encoder& out) {
    out.put(kVersion);
    out.put(retirement.token);
    out.put(retirement.order);
  });
}

Result<RetirementSecrets> decode_retirement(std::string_view bytes) {
  Decoder in(bytes);
  in.version();
  RetirementSecrets secrets;
  secrets.token = in.secret();
  secrets.order = in.secret();
  if (!in.done()) return undecodable("retirement");
  return secrets;
}

bool fits_a_slot(const Change& change) {
  return std::holds_alternative<Install>(change) || std::holds_alternative<UpdateParked>(change) ||
         std::holds_alternative<QueueRetirements>(change);
}

WipedString encode_answer(const Change& change, std::uint64_t sequence) {
  CHECK(fits_a_slot(change));
  return encode([&](Encoder& out) {
    out.put(kAnswerVersion);
    out.put(sequence);
    std::visit(
        [&](const auto& answer) {
          if constexpr (requires { put_answer(out, answer); }) put_answer(out, answer);
        },
        change);
  });
}

Result<Answer> decode_answer(std::string_view bytes) {
  Decoder in(bytes);
  const std::uint64_t version = in.version(kAnswerVersion);
  Answer answer;
  answer.sequence = in.number();
  switch (static_cast<AnswerKind>(in.number())) {
    case AnswerKind::kInstall: answer.change = get_install(in, version); break;
    case AnswerKind::kUpdateParked: answer.change = get_update_parked(in); break;
    case AnswerKind::kQueueRetirements: answer.change = QueueRetirements{get_retirements(in), {}}; break;
    default: in.fail();
  }
  if (!in.done()) return undecodable("answer");
  return answer;
}

}  // namespace credsync::store
