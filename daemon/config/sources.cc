#include "daemon/config/sources.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/encoding.h"
#include "base/file.h"
#include "daemon/config/secret_source.h"

namespace credsync::config {
namespace {

constexpr std::size_t kMaxCertificateFile = 4 * 1024 * 1024;  // the system's bundle is a quarter of a megabyte
constexpr std::size_t kMaxArguments = 64;

constexpr std::string_view kNeverInline =
    "a secret is never written here; use { file = \"…\" }, { credential = \"…\" } or { command = [\"/path\", "
    "\"…\"] }";

bool is_credential_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' && name.find('/') == name.npos;
}

bool read_command(TableReader& table, SecretSource& source) {
  if (!table.strings("command", source.command)) return false;
  if (source.command.empty() || !source.command.front().starts_with('/')) {
    table.wrong("command", "must begin with the absolute path of a program; there is no shell and no search path");
    return false;
  }
  if (source.command.size() > kMaxArguments) {
    table.wrong("command", "has more than " + std::to_string(kMaxArguments) + " arguments");
    return false;
  }
  source.kind = SecretSource::Kind::kCommand;
  return true;
}

bool read_file_key(TableReader& table, SecretSource& source, const Spot& spot) {
  if (!table.text("file", source.path)) return false;
  if (source.path.empty()) {
    table.wrong("file", "must not be empty");
    return false;
  }
  source.path = absolute_path(source.path, spot);
  source.kind = SecretSource::Kind::kFile;
  return true;
}

bool read_credential_key(TableReader& table, SecretSource& source) {
  if (!table.text("credential", source.path)) return false;
  if (!is_credential_name(source.path)) {
    table.wrong("credential", "must be the name of a credential, without / and not beginning with a dot");
    return false;
  }
  source.kind = SecretSource::Kind::kCredential;
  return true;
}

std::optional<Finding> check_credential(const SecretSource& source) {
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr) {
    return Finding{"cannot be checked here: $CREDENTIALS_DIRECTORY is set by systemd only (LoadCredential=)", false};
  }
  if (::access((std::string(folder) + "/" + source.path).c_str(), R_OK) == 0) return std::nullopt;
  return Finding{"systemd passed no credential `" + source.path + "`; add LoadCredential= to the unit", true};
}

std::optional<Finding> check_command(const SecretSource& source) {
  const std::string& program = source.command.front();
  struct stat status {};
  if (::stat(program.c_str(), &status) != 0) return Finding{from_errno(program, errno).message(), true};
  if (!S_ISREG(status.st_mode) || ::access(program.c_str(), X_OK) != 0) {
    return Finding{program + " is not a program that can be run", true};
  }
  return std::nullopt;
}

std::optional<Finding> check_file(const SecretSource& source) {
  const auto content = read_checked_file(source.path, kMaxSecretBytes, Secrecy::kSecret);
  if (!content) return Finding{content.error().message(), true};
  if (content->text().find_first_not_of('\n') == std::string::npos) return Finding{source.path + " is empty", true};
  return std::nullopt;
}

// The first PEM block of that kind decodes to something that begins like a DER sequence.
bool has_certificate(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----", kEnd = "-----END CERTIFICATE-----";
  const std::size_t begin = pem.find(kBegin);
  if (begin == pem.npos) return false;
  const std::size_t end = pem.find(kEnd, begin);
  if (end == pem.npos) return false;
  std::string body(pem.substr(begin + kBegin.size(), end - begin - kBegin.size()));
  std::erase_if(body, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; });
  const auto der = decode_base64(body);
  return der && der->size() > 2 && (*der)[0] == 0x30;
}

}  // namespace

std::string absolute_path(const std::string& path, const Spot& named_at) {
  if (path.empty() || path.front() == '/') return path;
  const std::string& file = *named_at.file;
  const std::size_t slash = file.rfind('/');
  return slash == std::string::npos ? path : file.substr(0, slash + 1) + path;
}

bool read_source(TableReader& table, std::string_view key, SecretSource& out) {
  const Node* node = table.take(key);
  if (node == nullptr) return false;
  if (!node->is_table()) {
    table.wrong(key, std::string(kNeverInline));
    return false;
  }
  TableReader inner(*node, table.path_of(key), table.problems());
  SecretSource source;
  const bool file = read_file_key(inner, source, node->spot);
  const bool credential = read_credential_key(inner, source);
  const bool command = read_command(inner, source);
  inner.finish();
  const std::size_t written =
      node->fields.count("file") + node->fields.count("credential") + node->fields.count("command");
  if (written != 1) {
    table.wrong(key, "must have exactly one of file, credential and command");
    return false;
  }
  if (!file && !credential && !command) return false;
  out = std::move(source);
  return true;
}

std::optional<Finding> FileChecks::secret(const SecretSource& source) {
  switch (source.kind) {
    case SecretSource::Kind::kNone: return std::nullopt;
    case SecretSource::Kind::kCredential: return check_credential(source);
    case SecretSource::Kind::kCommand: return check_command(source);
    case SecretSource::Kind::kFile: break;
  }
  const auto [found, added] = secrets_.try_emplace(source.path);
  if (added) found->second = check_file(source);
  return found->second;
}

std::optional<Finding> FileChecks::private_key(const SecretSource& source) {
  if (auto finding = secret(source)) return finding;
  if (source.kind != SecretSource::Kind::kFile) return std::nullopt;
  const auto [found, added] = keys_.try_emplace(source.path);
  if (!added) return found->second;
  const auto content = read_checked_file(source.path, kMaxSecretBytes, Secrecy::kSecret);
  const bool pem = content && content->text().find("-----BEGIN ") != std::string::npos &&
                   content->text().find("PRIVATE KEY-----") != std::string::npos;
  if (!pem) found->second = Finding{source.path + " holds no private key in PEM (-----BEGIN PRIVATE KEY-----)", true};
  return found->second;
}

std::optional<Finding> FileChecks::certificates(const std::string& path) {
  const auto [found, added] = certificates_.try_emplace(path);
  if (!added) return found->second;
  const auto content = read_checked_file(path, kMaxCertificateFile, Secrecy::kPublic);
  if (!content) {
    found->second = Finding{content.error().message(), true};
  } else if (!has_certificate(content->text())) {
    found->second = Finding{path + " holds no certificate in PEM (-----BEGIN CERTIFICATE-----)", true};
  }
  return found->second;
}

}  // namespace credsync::config
