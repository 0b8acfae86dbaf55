#include "daemon/login/loopback_listener.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace credsync::login {
namespace {

constexpr std::string_view kOutcomePath = "/outcome";
constexpr std::string_view kOtherOutcomePath = "/outcome/page";  // where the redirect URI itself is /outcome
constexpr unsigned kAcceptsPerTurn = 32;
constexpr Duration kAcceptTime = 5ms;     // of a turn: whose a connection is takes long where only /proc tells it
constexpr Duration kAcceptPause = 500ms;  // when the process is out of descriptors

bool has_parameter(std::string_view query, std::string_view name) {
  for (std::size_t at = 0; at <= query.size();) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string_view parameter = query.substr(at, end - at);
    if (parameter.substr(0, parameter.find('=')) == name) return true;
    at = end + 1;
  }
  return false;
}

LoopbackReply refuse_method(std::string allow) {
  LoopbackReply reply = plain_reply(405, "this address takes " + allow + " only");
  reply.allow = std::move(allow);
  return reply;
}

LoopbackReply over_page(const PageSubject& subject) {
  Page page = outcome_page(subject, {PageKind::kOver, {}, "An answer to it has come already.", {}});
  page.status = 410;
  return reply_with(std::move(page));
}

}  // namespace

LoopbackListeners::LoopbackListeners(Loop& loop, Agenda& agenda, const Clock& clock, PeerUser peer_user)
    : loop_(loop), agenda_(agenda), clock_(clock), peer_user_(std::move(peer_user)) {}

Result<std::unique_ptr<CallbackDoor>> LoopbackListeners::open(CallbackDoor::Order order) {
  auto sockets = open_loopback(order.loopback);
  if (!sockets) return std::move(sockets).error();
  auto listener =
      std::make_unique<LoopbackListener>(loop_, agenda_, clock_, peer_user_, std::move(order), std::move(*sockets));
  CREDSYNC_TRY(listener->start());
  return std::unique_ptr<CallbackDoor>(std::move(listener));
}

LoopbackListener::LoopbackListener(Loop& loop, Agenda& agenda, const Clock& clock,
                                   LoopbackListeners::PeerUser peer_user, Order order, LoopbackSockets sockets)
    : loop_(loop),
      agenda_(agenda),
      clock_(clock),
      peer_user_(std::move(peer_user)),
      order_(std::move(order)),
      sockets_(std::move(sockets)),
      cleaning_(agenda, [this] { clean_up(); }),
      resuming_(agenda,
                [this] {
                  for (const auto& watch : watches_)
                    watch->set(EPOLLIN);
                }),
      end_(agenda, [this] {
        if (closed_) std::exchange(closed_, nullptr)();
      }) {}

LoopbackListener::~LoopbackListener() = default;

Result<void> LoopbackListener::start() {
  for (const Descriptor& socket : sockets_.listening) {
    const int listening = socket.get();
    auto watched = loop_.watch(listening, EPOLLIN, [this, listening](std::uint32_t) { accept_all(listening); });
    if (!watched) return std::move(watched).error();
    watches_.push_back(std::move(*watched));
  }
  return {};
}

// --- who may come in ----------------------------------------------------------------------------------------------

// Who is left over stays in the kernel's queue until the next turn, and what else is due comes between.
void LoopbackListener::accept_all(int listening) {
  const BootTime began = clock_.boot();
  for (unsigned i = 0; i < kAcceptsPerTurn; ++i) {
    Descriptor socket(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      admit(std::move(socket));
      if (clock_.boot() - began >= kAcceptTime) return;
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) pause();
    return;
  }
}

// What waits stays readable: without a pause the loop would turn for nothing else.
void LoopbackListener::pause() {
  for (const auto& watch : watches_)
    watch->set(0);
  resuming_.set(clock_.boot() + kAcceptPause);
}

void LoopbackListener::admit(Descriptor socket) {
  if (connections_.size() >= kMostStrangers + kMostConnections) return;  // full for everybody, whoever it is
  const bool stranger = peer_user_(socket.get()) != std::optional<uid_t>(order_.user);
  const auto of_kind = std::count_if(connections_.begin(), connections_.end(),
                                     [&](const auto& connection) { return connection->stranger() == stranger; });
  if (of_kind >= static_cast<std::ptrdiff_t>(stranger ? kMostStrangers : kMostConnections)) return;
  if (!stranger && !taken_ && !may_visit()) return;  // the page with the outcome is for whoever brought the answer
  LoopbackConnection::Owner& owner = *this;
  connections_.push_back(
      std::make_unique<LoopbackConnection>(owner, loop_, agenda_, clock_, std::move(socket), stranger));
  connections_.back()->start();
}

bool LoopbackListener::may_visit() {
  const BootTime now = clock_.boot();
  visits_until_ = std::max(visits_until_, now);
  if (visits_until_ - now >= kMostVisitsAtOnce * kVisitEvery) return false;
  visits_until_ = visits_until_ + kVisitEvery;
  return true;
}

bool LoopbackListener::is_our_host(std::string_view host) const {
  const std::string port = ":" + std::to_string(sockets_.port);
  for (const std::string_view name : {"127.0.0.1", "[::1]", "localhost"}) {
    if (name == "localhost" && order_.loopback.host != name) continue;
    if (host == std::string(name) + port || (sockets_.port == 80 && host == name)) return true;
  }
  return false;
}

bool LoopbackListener::is_our_page(std::string_view origin) const {
  constexpr std::string_view kScheme = "http://";
  return origin.starts_with(kScheme) && is_our_host(origin.substr(kScheme.size()));
}

// --- what is answered ---------------------------------------------------------------------------------------------

void LoopbackListener::asked(LoopbackConnection& connection, const ipc::http::Request& request) {
  if (auto reply = reply_to(connection, request)) return connection.answer(*reply);
  held_.push_back(&connection);
}

std::optional<LoopbackReply> LoopbackListener::reply_to(LoopbackConnection& connection,
                                                        const ipc::http::Request& request) {
  if (connection.stranger()) {
    return plain_reply(403, "This sign-in belongs to another user of this computer. Nothing has changed.");
  }
  if (!is_our_host(request.host)) return plain_reply(421, "no such host here");
  const std::size_t mark = std::min(request.target.find('?'), request.target.size());
  const std::string_view path = request.target.substr(0, mark);
  const std::string_view query = request.target.substr(std::min(mark + 1, request.target.size()));
  if (path == order_.loopback.path) return callback(request, query);
  const std::string_view outcome_path = order_.loopback.path == kOutcomePath ? kOtherOutcomePath : kOutcomePath;
  if (path != outcome_path) return plain_reply(404, "there is nothing here");
  if (request.method != "GET") return refuse_method("GET");
  if (outcome_) {
    told_.push_back(&connection);
    return reply_with(outcome_page(order_.subject, *outcome_));
  }
  if (taken_) return std::nullopt;
  return reply_with(stray_page(order_.subject, "No answer has come from the provider yet."));
}

LoopbackReply LoopbackListener::callback(const ipc::http::Request& request, std::string_view query) {
  const bool posted = request.method == "POST";
  if (request.method != "GET" && !(posted && order_.implicit))
    return refuse_method(order_.implicit ? "GET, POST" : "GET");
  if (posted && !is_our_page(request.origin))
    return plain_reply(403, "this does not come from the page that was served");
  if (taken_ || outcome_) return over_page(order_.subject);
  if (posted) return take(request.body, true);
  // An error may come in the query even where tokens come in the fragment.
  if (!order_.implicit || has_parameter(query, "error")) return take(query, false);
  const bool other = order_.loopback.path == kOutcomePath;
  return reply_with(catcher_page(order_.subject, other ? kOtherOutcomePath : kOutcomePath));
}

LoopbackReply LoopbackListener::take(std::string_view parameters, bool by_script) {
  const Verdict verdict = order_.on_callback(parameters);
  if (!verdict.taken) {
    return by_script ? plain_reply(400, verdict.words) : reply_with(stray_page(order_.subject, verdict.words));
  }
  taken_ = true;
  if (by_script) return {204, {}, {}, {}, {}, false};
  const bool other = order_.loopback.path == kOutcomePath;
  return {303, {}, std::string(other ? kOtherOutcomePath : kOutcomePath), {}, {}, false};
}

// --- the end ------------------------------------------------------------------------------------------------------

void LoopbackListener::show(const PageOutcome& outcome, std::function<void()> closed) {
  outcome_ = outcome;
  closed_ = std::move(closed);
  end_.set(clock_.boot() + kOutcomeKept);
  for (LoopbackConnection* connection : std::exchange(held_, {})) {
    told_.push_back(connection);
    connection->answer(reply_with(outcome_page(order_.subject, *outcome_)));
  }
}

void LoopbackListener::ended(LoopbackConnection& connection, bool answered) {
  std::erase(held_, &connection);
  const auto at = std::find_if(connections_.begin(), connections_.end(),
                               [&](const auto& owned) { return owned.get() == &connection; });
  if (at == connections_.end()) return;
  buried_.push_back(std::move(*at));
  connections_.erase(at);
  cleaning_.set(clock_.boot());
  if (std::erase(told_, &connection) != 0 && answered) end_.set(clock_.boot());
}

void LoopbackListener::clean_up() {
  buried_.clear();
}

}  // namespace credsync::login
