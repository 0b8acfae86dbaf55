// The stored form of a RevocationOrder. Words for the enums are those of profiles, so that a stored order
// outlives changes of the code; fields that a newer version adds are ignored, and fields that are missing
// keep their defaults.
#include "base/encoding.h"
#include "base/text.h"
#include "daemon/oauth/json_value.h"
#include "daemon/oauth/token_request.h"
#include "daemon/provider/names.h"

namespace credsync::oauth {
namespace {

using provider::RequestKind;

constexpr std::string_view kVersion = "1";
constexpr std::size_t kMaxOrderBytes = 512 * 1024;  // two secrets of at most 64 KiB in base64, and room

// Writes JSON objects and arrays member by member.
class Writer {
 public:
  explicit Writer(std::size_t room) { out_.text().reserve(room); }

  Writer& open(char bracket) {
    out_.text() += bracket;
    first_ = true;
    return *this;
  }
  Writer& close(char bracket) {
    out_.text() += bracket;
    first_ = false;
    return *this;
  }
  Writer& name(std::string_view name) {
    separate();
    append_json_string(out_.text(), name);
    out_.text() += ':';
    first_ = true;  // the value needs no comma
    return *this;
  }
  Writer& text(std::string_view value) {
    separate();
    append_json_string(out_.text(), value);
    return *this;
  }
  Writer& raw(std::string_view value) {
    separate();
    out_.text() += value;
    return *this;
  }
  Writer& separate() {
    if (!first_) out_.text() += ',';
    first_ = false;
    return *this;
  }

  void field(std::string_view key, std::string_view value) { name(key).text(value); }
  void field(std::string_view key, bool value) { name(key).raw(value ? "true" : "false"); }
  void field(std::string_view key, const Secret& value) {
    WipedString encoded(encode_base64(value.expose()));
    name(key).text(encoded.text());
  }
  void field(std::string_view key, const provider::StringMap& map) {
    name(key).open('{');
    for (const auto& [k, v] : map)
      field(k, std::string_view(v));
    close('}');
  }
  void field(std::string_view key, const provider::Strings& list) {
    name(key).open('[');
    for (const std::string& v : list)
      text(v);
    close(']');
  }

  Secret take() { return Secret::take(std::move(out_.text())); }

 private:
  WipedString out_;
  bool first_ = true;
};

void write_client(Writer& w, const provider::Client& client) {
  w.name("auth").open('[');
  for (const provider::ClientAuth method : client.auth)
    w.text(provider::to_name(method));
  w.close(']');
  w.field("basic_encoding", provider::to_name(client.basic_encoding));
  w.field("audience", client.assertion_audience);
  w.field("algorithm", client.signing_algorithm);
}

void write_revoke(Writer& w, const provider::Revoke& revoke) {
  w.name("revoke").open('{');
  w.field("how", provider::to_name(revoke.how));
  if (revoke.auth) w.field("auth", provider::to_name(*revoke.auth));
  w.field("access_tokens", revoke.access_tokens);
  w.field("refresh_tokens", revoke.refresh_tokens);
  w.field("hint", revoke.hint);
  w.field("access_cascade", provider::to_name(revoke.access_cascade));
  w.field("refresh_cascade", provider::to_name(revoke.refresh_cascade));
  w.name("success").open('[');
  for (const int status : revoke.success)
    w.raw(std::to_string(status));
  w.close(']').close('}');
}

void write_errors(Writer& w, const provider::Errors& errors) {
  w.name("errors").open('{');
  w.field("code", errors.code);
  w.field("text", errors.text);
  w.name("match").open('[');
  for (const provider::ErrorMatch& match : errors.match) {
    w.separate().open('{');
    if (match.status) w.name("status").raw(std::to_string(*match.status));
    w.field("code", match.code);
    if (match.request) w.field("request", provider::to_name(*match.request));
    w.field("class", provider::to_name(match.error_class));
    w.close('}');
  }
  w.close(']').close('}');
}

void write_account(Writer& w, const RevocationOrder& order) {
  w.field("client_id", order.client_id);
  w.field("client_secret", order.client_secret);
  w.field("private_key", order.private_key);
  w.field("key_id", order.key_id);
  w.field("ca_file", order.ca_file);
  w.field("allow_http_loopback", order.allow_http_loopback);
  w.field("client_certificate", order.client_certificate);
}

// Reading. What is of another type than expected counts as missing.
std::string text_or(const JsonValue& object, std::string_view name, std::string fallback) {
  const JsonValue* value = object.member(name);
  return value != nullptr && value->kind() == JsonValue::Kind::kString ? std::string(value->text()) : fallback;
}

bool flag_of(const JsonValue& object, std::string_view name, bool fallback) {
  const JsonValue* value = object.member(name);
  return value == nullptr ? fallback : value->as_bool().value_or(fallback);
}

std::optional<int> status_of(const JsonValue* value) {
  const auto number = value == nullptr ? std::nullopt : value->as_number();
  return number && *number >= 0 && *number < 1000 ? std::optional<int>(static_cast<int>(*number)) : std::nullopt;
}

provider::Strings list_of(const JsonValue& object, std::string_view name) {
  provider::Strings out;
  const JsonValue* list = object.member(name);
  if (list == nullptr) return out;
  for (const JsonValue& item : list->items())
    out.emplace_back(item.text());
  return out;
}

provider::StringMap map_of(const JsonValue& object, std::string_view name) {
  provider::StringMap out;
  const JsonValue* map = object.member(name);
  if (map == nullptr) return out;
  for (std::size_t i = 0; i < map->names().size(); ++i)
    out[map->names()[i]] = map->items()[i].text();
  return out;
}

template <typename Enum>
Enum word_of(const JsonValue& object, std::string_view name, Enum fallback) {
  return provider::from_name<Enum>(text_of(object, name)).value_or(fallback);
}

void read_client(const JsonValue& top, provider::Client& client) {
  client.auth.clear();
  for (const std::string& word : list_of(top, "auth")) {
    if (const auto method = provider::from_name<provider::ClientAuth>(word)) client.auth.push_back(*method);
  }
  client.basic_encoding = word_of(top, "basic_encoding", provider::BasicEncoding::kForm);
  client.assertion_audience = text_of(top, "audience");
  client.signing_algorithm = text_of(top, "algorithm");
}

void read_revoke(const JsonValue& object, provider::Revoke& revoke) {
  revoke.how = word_of(object, "how", provider::RevokeHow::kNone);
  revoke.auth = provider::from_name<provider::ClientAuth>(text_of(object, "auth"));
  revoke.access_tokens = flag_of(object, "access_tokens", true);
  revoke.refresh_tokens = flag_of(object, "refresh_tokens", true);
  revoke.hint = flag_of(object, "hint", true);
  revoke.access_cascade = word_of(object, "access_cascade", provider::Cascade::kUnknown);
  revoke.refresh_cascade = word_of(object, "refresh_cascade", provider::Cascade::kUnknown);
  revoke.success.clear();
  const JsonValue* success = object.member("success");
  if (success == nullptr) return;
  for (const JsonValue& item : success->items()) {
    if (const auto status = status_of(&item)) revoke.success.push_back(*status);
  }
}

void read_errors(const JsonValue& object, provider::Errors& errors) {
  errors.code = list_of(object, "code");
  errors.text = list_of(object, "text");
  const JsonValue* matches = object.member("match");
  if (matches == nullptr) return;
  for (const JsonValue& item : matches->items()) {
    provider::ErrorMatch match;
    match.status = status_of(item.member("status"));
    match.code = text_of(item, "code");
    match.request = provider::from_name<RequestKind>(text_of(item, "request"));
    match.error_class = word_of(item, "class", provider::ErrorClass::kTransient);
    errors.match.push_back(std::move(match));
  }
}

void read_parameters(const JsonValue& object, provider::Parameters& parameters) {
  parameters.set = map_of(object, "set");
  parameters.rename = map_of(object, "rename");
  parameters.omit = list_of(object, "omit");
  parameters.drop_empty = flag_of(object, "drop_empty", true);
}

Secret secret_of(const JsonValue& object, std::string_view name) {
  const JsonValue* value = object.member(name);
  auto bytes = value == nullptr ? std::nullopt : decode_base64(value->text());
  return bytes ? Secret::take(std::move(*bytes)) : Secret();
}

void read_endpoint(const JsonValue& top, RevocationOrder& order) {
  provider::Endpoint& endpoint = order.rules.endpoints.revoke;
  endpoint.url = order.url;
  endpoint.method = text_or(top, "method", "POST");
  endpoint.encoding = word_of(top, "encoding", provider::Encoding::kForm);
  endpoint.headers = map_of(top, "headers");
}

void read_account(const JsonValue& top, RevocationOrder& order) {
  order.client_id = text_of(top, "client_id");
  order.client_secret = secret_of(top, "client_secret");
  order.private_key = secret_of(top, "private_key");
  order.key_id = text_of(top, "key_id");
  order.ca_file = text_of(top, "ca_file");
  order.allow_http_loopback = flag_of(top, "allow_http_loopback", false);
  order.client_certificate = text_of(top, "client_certificate");
}

}  // namespace

Secret serialise(const RevocationOrder& order) {
  const provider::Profile& rules = order.rules;
  // Room for everything at once where it matters: the secrets in base64 and the texts around them.
  Writer w(2 * (order.client_secret.size() + order.private_key.size()) + 8192);
  w.open('{');
  w.field("version", kVersion);
  w.field("provider", rules.id);
  w.field("url", order.url);
  w.field("method", rules.endpoints.revoke.method);
  w.field("encoding", provider::to_name(rules.endpoints.revoke.encoding));
  w.field("headers", rules.endpoints.revoke.headers);
  write_client(w, rules.client);
  write_revoke(w, rules.revoke);
  write_errors(w, rules.errors);
  if (const auto at = rules.parameters.find(RequestKind::kRevoke); at != rules.parameters.end()) {
    w.name("parameters").open('{');
    w.field("set", at->second.set);
    w.field("rename", at->second.rename);
    w.field("omit", at->second.omit);
    w.field("drop_empty", at->second.drop_empty);
    w.close('}');
  }
  w.field("delivery_header", rules.delivery.header);
  w.field("delivery_prefix", rules.delivery.prefix);
  write_account(w, order);
  w.close('}');
  return w.take();
}

Result<RevocationOrder> parse_revocation_order(const Secret& text) {
  const auto top = JsonValue::parse(text.expose(), kMaxOrderBytes);
  if (!top || !top->is_object()) return corrupt("a stored revocation order is not readable");
  if (text_of(*top, "version") != kVersion) {
    return Error(ErrorCode::kTooNew, "a stored revocation order is of a newer version");
  }
  RevocationOrder order;
  order.url = text_of(*top, "url");
  order.rules.id = text_of(*top, "provider");
  read_endpoint(*top, order);
  read_client(*top, order.rules.client);
  if (const JsonValue* revoke = top->member("revoke")) read_revoke(*revoke, order.rules.revoke);
  if (const JsonValue* errors = top->member("errors")) read_errors(*errors, order.rules.errors);
  if (const JsonValue* rules = top->member("parameters"))
    read_parameters(*rules, order.rules.parameters[RequestKind::kRevoke]);
  order.rules.delivery.header = text_or(*top, "delivery_header", order.rules.delivery.header);
  order.rules.delivery.prefix = text_or(*top, "delivery_prefix", order.rules.delivery.prefix);
  read_account(*top, order);
  if (order.url.empty() || order.rules.revoke.how == provider::RevokeHow::kNone) {
    return corrupt("a stored revocation order lacks its URL or its kind");
  }
  return order;
}

}  // namespace credsync::oauth
