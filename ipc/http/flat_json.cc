#include "ipc/http/flat_json.h"

#include <algorithm>
#include <charconv>

namespace credsync::ipc::http {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto byte = [&](std::uint32_t value) { out += static_cast<char>(static_cast<unsigned char>(value)); };
  if (c < 0x80) return byte(c);
  if (c < 0x800) return byte(0xc0 | (c >> 6)), byte(0x80 | (c & 0x3f));
  if (c < 0x10000) return byte(0xe0 | (c >> 12)), byte(0x80 | ((c >> 6) & 0x3f)), byte(0x80 | (c & 0x3f));
  byte(0xf0 | (c >> 18)), byte(0x80 | ((c >> 12) & 0x3f)), byte(0x80 | ((c >> 6) & 0x3f)), byte(0x80 | (c & 0x3f));
}

// The length of the UTF-8 character that `text` begins with (RFC 3629), or 0.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  std::size_t size = 0;
  unsigned char low = 0x80, high = 0xbf;  // bounds of the second byte
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) size = 2;
  if (first >= 0xe0 && first <= 0xef) size = 3;
  if (first >= 0xf0 && first <= 0xf4) size = 4;
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;
  if (size == 0 || text.size() < size || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return size;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void skip_space() {
    while (!at_end() && is_space(text_[at_]))
      ++at_;
  }
  bool take(char c) {
    skip_space();
    if (peek() != c || at_end()) return false;
    ++at_;
    return true;
  }

  Result<WipedString> string();
  Result<std::string_view> number();
  // "true" or "false", if that is what comes next.
  std::optional<std::string_view> flag();

 private:
  std::string_view rest() const { return text_.substr(at_); }
  Result<void> escape(std::string& out);
  std::optional<std::uint32_t> four_digits();
  bool digits();

  std::string_view text_;
  std::size_t at_ = 0;
};

Result<WipedString> Reader::string() {
  if (!take('"')) return invalid("a string was expected");
  WipedString out;
  out.text().reserve(rest().size());  // it cannot become longer, so no bytes are left behind
  while (!at_end() && peek() != '"') {
    if (peek() == '\\') {
      CREDSYNC_TRY(escape(out.text()));
      continue;
    }
    const std::size_t size = utf8_length(rest());
    if (size == 0) return invalid("a string is not UTF-8");
    if (static_cast<unsigned char>(peek()) < 0x20) return invalid("a string holds a control character");
    out.text().append(rest().substr(0, size));
    at_ += size;
  }
  if (!take('"')) return invalid("a string does not end");
  return out;
}

std::optional<std::uint32_t> Reader::four_digits() {
  if (rest().size() < 4) return std::nullopt;
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_value(text_[at_++]);
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<std::uint32_t>(digit);
  }
  return value;
}

Result<void> Reader::escape(std::string& out) {
  ++at_;
  constexpr std::string_view kNames = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const char name = peek();
  ++at_;
  if (at_ > text_.size()) return invalid("a string does not end");
  if (const std::size_t i = kNames.find(name); i != std::string_view::npos) {
    out += kMeanings[i];
    return {};
  }
  auto c = name == 'u' ? four_digits() : std::nullopt;
  if (c && *c >= 0xd800 && *c < 0xdc00 && rest().starts_with("\\u")) {
    at_ += 2;
    const auto low = four_digits();
    const bool pair = low && *low >= 0xdc00 && *low < 0xe000;
    c = pair ? std::optional(0x10000 + ((*c - 0xd800) << 10) + (*low - 0xdc00)) : std::nullopt;
  }
  if (!c || (*c >= 0xd800 && *c < 0xe000)) return invalid("a string has a broken escape");
  if (*c == 0) return invalid("a string holds NUL");
  append_utf8(out, *c);
  return {};
}

bool Reader::digits() {
  const std::size_t start = at_;
  while (!at_end() && is_digit(text_[at_]))
    ++at_;
  return at_ != start;
}

std::optional<std::string_view> Reader::flag() {
  for (const std::string_view word : {"true", "false"}) {
    if (!rest().starts_with(word)) continue;
    at_ += word.size();
    return word;
  }
  return std::nullopt;
}

Result<std::string_view> Reader::number() {
  const Error bad = invalid("only strings, numbers, true and false may be members");
  const std::size_t start = at_;
  if (peek() == '-') ++at_;
  if (peek() == '0') {
    ++at_;
  } else if (!digits()) {
    return bad;
  }
  if (peek() == '.' && (++at_, !digits())) return bad;
  if (peek() == 'e' || peek() == 'E') {
    ++at_;
    if (peek() == '+' || peek() == '-') ++at_;
    if (!digits()) return bad;
  }
  return text_.substr(start, at_ - start);
}

Result<FlatObject::Member> read_member(Reader& reader) {
  auto key = reader.string();
  if (!key) return std::move(key).error();
  if (!reader.take(':')) return invalid("a colon was expected after a member's name");
  FlatObject::Member member;
  member.key = key->text();
  reader.skip_space();
  if (reader.peek() == '"') {
    auto value = reader.string();
    if (!value) return std::move(value).error();
    member.text = Secret(value->text());
    return member;
  }
  if (const auto word = reader.flag()) {
    member.kind = FlatObject::Kind::kFlag;
    member.text = Secret(*word);
    return member;
  }
  const auto spelling = reader.number();
  if (!spelling) return spelling.error();
  member.kind = FlatObject::Kind::kNumber;
  member.text = Secret(*spelling);
  return member;
}

}  // namespace

Result<FlatObject> FlatObject::parse(std::string_view body) {
  Reader reader(body);
  FlatObject object;
  if (!reader.take('{')) return invalid("the body is not a JSON object");
  for (bool more = !reader.take('}'); more;) {
    auto member = read_member(reader);
    if (!member) return std::move(member).error();
    if (object.has(member->key)) return invalid("a member is given twice");
    if (object.members_.size() == kMostMembers) return invalid("the object has too many members");
    object.members_.push_back(std::move(*member));
    more = reader.take(',');
    if (!more && !reader.take('}')) return invalid("a comma or the end of the object was expected");
  }
  reader.skip_space();
  if (!reader.at_end()) return invalid("something follows the JSON object");
  return object;
}

const FlatObject::Member* FlatObject::find(std::string_view key) const {
  const auto at = std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.key == key; });
  return at == members_.end() ? nullptr : &*at;
}

std::optional<Secret> FlatObject::take_string(std::string_view key) {
  const auto at = std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.key == key; });
  if (at == members_.end() || at->kind != Kind::kString) return std::nullopt;
  return std::move(at->text);
}

std::optional<std::uint64_t> FlatObject::whole_number(std::string_view key) const {
  const Member* member = find(key);
  if (member == nullptr || member->kind != Kind::kNumber) return std::nullopt;
  const std::string_view text = member->text.expose();
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> FlatObject::flag(std::string_view key) const {
  const Member* member = find(key);
  if (member == nullptr || member->kind != Kind::kFlag) return std::nullopt;
  return member->text.expose() == "true";
}

}  // namespace credsync::ipc::http
