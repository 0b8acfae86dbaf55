#include "cli/login_words.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cli/table.h"
#include "cli/text.h"
#include "cli/when.h"

namespace credsync::cli {
namespace {

std::string provider_name(const LoginView& login) {
  return login.provider_title.empty() ? login.provider : login.provider_title;
}

std::string boxed(const std::string& code, const View& view) {
  const std::size_t width = display_width(code) + 4;
  std::string rule;
  for (std::size_t i = 0; i < width; ++i)
    rule += view.utf8 ? "─" : "-";
  const std::string side = view.utf8 ? "│" : "|";
  const auto corners = [&](const char* left, const char* right) {
    return "    " + std::string(view.utf8 ? left : "+") + rule + (view.utf8 ? right : "+") + "\n";
  };
  return corners("┌", "┐") + "    " + side + "  " + styled(view, Style::kBold, code) + "  " + side + "\n" +
         corners("└", "┘");
}

struct Hint {
  std::string_view error_class;
  std::string_view words;
};

constexpr std::string_view kDenied =
    "Access was refused at the provider, by a person or by its rules. Sign in again and agree, or ask for fewer scopes.";
constexpr std::string_view kExpired = "It was not finished in time, so nothing has changed. Begin again.";
constexpr std::string_view kStale = "The provider's code was used already or has ended. Begin again.";
constexpr std::string_view kForeign =
    "What came back was not the answer to this sign-in. Begin again, and use only the page that it opens.";
constexpr std::string_view kUnwell =
    "The provider could not be reached or is unwell. The old tokens stay; try again later.";
constexpr std::string_view kClock =
    "Look at this machine's clock (timedatectl): when it is wrong, certificates and ID tokens look expired or not yet valid.";

constexpr std::string_view kDocuments =
    "What the provider publishes about itself could not be read or believed: compare the issuer with its documents.";

constexpr std::array kHints{
    Hint{"access_denied", kDenied},
    Hint{"consent_required", kDenied},
    Hint{"expired", kExpired},
    Hint{"expired_token", kExpired},
    Hint{"start-over", kStale},
    Hint{"invalid_code", kStale},
    Hint{"invalid_grant", kStale},
    Hint{"needs-login", kStale},
    Hint{"state", kForeign},
    Hint{"issuer", kForeign},
    Hint{"malformed", kForeign},
    Hint{"duplicate", kForeign},
    Hint{"not-sent", kUnwell},
    Hint{"ambiguous", kUnwell},
    Hint{"transient", kUnwell},
    Hint{"server_error", kUnwell},
    Hint{"temporarily_unavailable", kUnwell},
    Hint{"untrusted",
         "The provider's certificate could not be verified: a captive portal, a missing ca_file, or a wrong clock."},
    Hint{"untrusted", kClock},
    Hint{"clock", kClock},
    Hint{"id-token", kClock},
    Hint{"discovery", kDocuments},
    Hint{"jwks", kDocuments},
    Hint{"storage",
         "The daemon could not store the new tokens, and keeps the old ones: is its disk full? `credsync doctor` and "
         "its journal tell."},
    Hint{"changed", "The account's configuration changed meanwhile. Begin again."},
    Hint{"not_allowed", "The rules changed meanwhile: `credsync whoami` tells what you may do."},
    Hint{"invalid_scope",
         "The provider does not offer one of the scopes: compare them with its documents, mend the account's "
         "file, then `credsync reload`."},
    Hint{"identity",
         "Somebody else than before has signed in. Sign in as the same person as before; if the account is to "
         "change hands, use --replace-identity."},
    Hint{
        "identity_unknown",
        "The provider did not say just now who signed in, so it was not compared with who it was before. Try again; if "
        "it never says, use --replace-identity."},
    Hint{"local", "A file that the configuration names cannot be read: `credsync doctor` tells which."},
    Hint{"secret-source", "A file that the configuration names cannot be read: `credsync doctor` tells which."},
};

// Words that need something of this session.
std::vector<std::string> own_hints(const LoginView& login) {
  const std::string client = login.client_id.empty() ? "this client" : "client " + login.client_id;
  const std::string& kind = login.error->error_class;
  if (is_one_of(kind, {"redirect_uri", "redirect_uri_mismatch", "invalid_redirect_uri", "invalid_request"}) &&
      !login.redirect_uri.empty()) {
    return {"Register this redirect URI at " + provider_name(login) + " for " + client + ", exactly as it stands here:",
            "  " + login.redirect_uri,
            "Or put the registered one into the account's file as redirect_uri, then `credsync reload`."};
  }
  if (is_one_of(kind, {"client", "invalid_client", "unauthorized_client", "unsupported_response_type"})) {
    return {provider_name(login) + " does not take " + client +
            ": compare client_id and client_secret of the account's file with what the provider shows, and whether the "
            "client may use this grant; then `credsync reload`."};
  }
  return {};
}

// That the account needs a login is no news here: the sign-in failed.
ExitCode exit_of(const std::string& problem) {
  if (problem == ipc::kNeedsLogin.name) return ExitCode::kFailed;
  for (const ipc::ProblemName& known : ipc::kProblems) {
    if (problem == known.name) return known.exit_code;
  }
  return ExitCode::kFailed;
}

}  // namespace

std::string paragraph(const std::string& words, const View& view) {
  std::string out;
  for (const std::string& line : wrap(view.utf8 ? words : to_ascii(words), view.columns))
    out += line + "\n";
  return out;
}

std::string grant_warning(const std::string& grant) {
  if (grant == "implicit") {
    return "Note: implicit sends the token itself through the browser; prefer authorization_code where offered (RFC 9700).";
  }
  if (grant == "password") {
    return "Note: password gives the password itself away; prefer another grant where offered (RFC 9700).";
  }
  return {};
}

std::string introduction(const LoginView& login, const View& view) {
  std::string out = "Signing in " + styled(view, Style::kBold, login.account) + " at " +
                    (view.utf8 ? provider_name(login) : to_ascii(provider_name(login))) + "\n";
  out +=
      render_pairs({{"client", login.client_id}, {"grant", login.grant}, {"asks for", join(login.scopes, " ")}}, view);
  const std::string warning = grant_warning(login.grant);
  if (!warning.empty()) out += styled(view, Style::kYellow, paragraph(warning, view));
  return out + "\n";
}

std::string browser_words(const LoginView& login, const BrowserRoad& road, const View& view) {
  std::string out;
  if (!road.why_not.empty()) out += paragraph(road.why_not, view);
  out += road.opened ? "Your browser opens. If it does not, go to:\n\n" : "Open this address in a browser:\n\n";
  // Never wrapped nor indented by us: it is copied, and a terminal knows its own lines.
  out += login.url + "\n\n";
  if (login.url_expires_in) {
    out += paragraph("The provider takes this address for " + span_text(*login.url_expires_in) + ": open it by then.",
                     view);
  }
  std::string back;
  if (login.listening) back = "A browser on this machine comes back by itself.";
  if (road.can_paste) {
    back += login.listening ? " From another one, copy the address that it ends at"
                            : "Copy the address that the browser ends at";
    back += " (the page may say that it cannot be reached), paste it here and press Enter. It is not shown.";
  } else if (!login.listening) {
    back =
        "The browser cannot come back here by itself: run this command at a terminal and paste the address that the "
        "browser ends at.";
  }
  return out + (back.empty() ? "" : paragraph(back, view));
}

std::string device_words(const LoginView& login, const QrDrawing& qr, const View& view) {
  std::string out = "On any device, open\n\n    " + login.verification_uri + "\n\nand enter the code\n\n";
  out += boxed(view.utf8 ? login.user_code : to_ascii(login.user_code), view) + "\n";
  if (login.verification_uri_complete.empty()) return out;
  if (qr.text.empty()) {
    out += "or open\n\n" + login.verification_uri_complete + "\n\n";
    if (view.terminal && !qr.why.empty())
      out += styled(view, Style::kDim, paragraph("(No QR code: " + qr.why + ".)", view));
    return out;
  }
  out += "or scan this, and compare the code:\n\n" + qr.text;
  if (!view.colour)
    out += paragraph("(On a light background its colours are reversed, which not every reader takes.)", view);
  return out + "\n";
}

std::string progress_line(const LoginView& login, std::int64_t seconds_left, std::size_t typed, const View& view) {
  std::string line;
  if (login.phase == ipc::kPhaseFinishing) {
    line = "Asking the provider for the tokens" + std::string(view.utf8 ? "…" : "...");
  } else if (typed > 0) {
    line = std::to_string(typed) + " characters so far, Enter ends";
  } else {
    line = "Waiting, " + span_text(seconds_left) + " left; Ctrl-C cancels";
  }
  // The last column stays free: writing there makes some terminals wrap.
  return cut_to_width(line, view.columns > 1 ? view.columns - 1 : 1, view.utf8);
}

std::string ending_words(const LoginView& login, const View& view) {
  const std::string nothing = login.scopes.empty() ? "" : "nothing that was named";
  return render_pairs({{"signed in as", login.identity},
                       {"granted", login.granted.empty() ? nothing : join(login.granted, " ")},
                       {"not granted", join(login.missing, " "), Style::kYellow}},
                      view);
}

Failure login_failure(const LoginView& login) {
  if (login.phase == ipc::kPhaseCancelled) {
    return {ExitCode::kFailed, "the sign-in of " + login.account + " was cancelled; nothing has changed", {}, {}};
  }
  Failure failure{ExitCode::kFailed, "the sign-in of " + login.account + " failed", {}, {}};
  if (!login.error) return failure;
  const LoginError& error = *login.error;
  failure.exit = exit_of(error.name);
  if (!error.detail.empty()) failure.message += ": " + error.detail;
  failure.command = error.next_step;
  failure.details = own_hints(login);
  for (const Hint& hint : kHints) {
    if (hint.error_class == error.error_class) failure.details.emplace_back(hint.words);
  }
  return failure;
}

}  // namespace credsync::cli
