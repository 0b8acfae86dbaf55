#include "cli/completion.h"

namespace credsync::cli {
namespace {

constexpr std::string_view kBash =
    R"bash(# credsync(1) completion for bash: source <(credsync completion bash)
_credsync_ask() {
  local socket=()
  local i
  for ((i = 1; i < ${#COMP_WORDS[@]} - 1; i++)); do
    if [[ ${COMP_WORDS[i]} == --socket ]]; then socket=(--socket "${COMP_WORDS[i+1]}"); fi
  done
  credsync "${socket[@]}" "$@" 2>/dev/null
}

_credsync_accounts() {
  _credsync_ask account list --names
}

_credsync_providers() {
  _credsync_ask providers | awk 'NR > 1 { print $1 }'
}

_credsync() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local commands="token exec status login logout refresh reject account whoami providers log reload doctor completion"
  local command="" below="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --socket) ((i++)) ;;
      --)
        # The command of exec: complete it as if it stood alone.
        if [[ $command == exec ]] && declare -F _command_offset >/dev/null; then
          _command_offset $((i + 1))
          return
        fi ;;
      -*) ;;
      *)
        if [[ -z $command ]]; then command=${COMP_WORDS[i]}; elif [[ -z $below ]]; then below=${COMP_WORDS[i]}; fi ;;
    esac
  done
  case $before in
    --socket) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --format) COMPREPLY=($(compgen -W "plain json header env" -- "$word")); return ;;
    --min-valid) COMPREPLY=($(compgen -W "30s 60s 5m 10m" -- "$word")); return ;;
    --wait) COMPREPLY=($(compgen -W "0s 10s 30s 60s" -- "$word")); return ;;
    --since) COMPREPLY=($(compgen -W "1h 12h 24h 7d" -- "$word")); return ;;
    --grant)
      COMPREPLY=($(compgen -W "authorization_code implicit device_code password client_credentials refresh_token static" -- "$word"))
      return ;;
    --provider) COMPREPLY=($(compgen -W "$(_credsync_providers)" -- "$word")); return ;;
    --config) COMPREPLY=($(compgen -d -- "$word")); return ;;
    --allow-user) COMPREPLY=($(compgen -W "me" -u -- "$word")); return ;;
    --allow-group) COMPREPLY=($(compgen -g -- "$word")); return ;;
    --client-id | --scope | --var | --param | --redirect-uri) return ;;
    --browser-user) COMPREPLY=($(compgen -u -- "$word")); return ;;
    --env | --generation | --pid | --username) return ;;
  esac
  local options="--help --socket" names=""
  case $command in
    "") options="--help --version --socket"; names=$commands ;;
    token) options+=" --min-valid --wait --format"; names=$(_credsync_accounts) ;;
    exec) options+=" --min-valid --wait --env --"; names=$(_credsync_accounts) ;;
    status) options+=" --json --watch"; names=$(_credsync_accounts) ;;
    login)
      options+=" --no-browser --device --browser-user --replace-identity --json"
      options+=" --refresh-token-stdin --token-stdin --password-stdin --username"
      names=$(_credsync_accounts) ;;
    logout | refresh) names=$(_credsync_accounts) ;;
    reject) options+=" --generation"; names=$(_credsync_accounts) ;;
    account)
      case $below in
        add)
          options+=" --provider --grant --client-id --client-secret-stdin --no-client-secret --username --scope --var"
          options+=" --param --redirect-uri --allow-user --allow-group --system --user --config --print --login --no-login" ;;
        remove) options+=" --sign-out --yes --system --user --config"; names=$(_credsync_accounts) ;;
        list) options+=" --names" ;;
        *) names="add remove list" ;;
      esac ;;
    whoami) options+=" --pid --json" ;;
    providers) options+=" --json"; names=$(_credsync_providers) ;;
    log) options+=" --since --follow --json"; names=$(_credsync_accounts) ;;
    completion) names="bash zsh fish" ;;
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -W "$names" -- "$word"))
  fi
}
complete -F _credsync credsync
)bash";

constexpr std::string_view kZsh = R"zsh(#compdef credsync
# credsync(1) completion for zsh: credsync completion zsh > "${fpath[1]}/_credsync"
_credsync_accounts() {
  local -a names
  names=(${(f)"$(credsync ${socket:+--socket} $socket account list --names 2>/dev/null)"})
  compadd -a names
}

_credsync_providers() {
  local -a names
  names=(${(f)"$(credsync ${socket:+--socket} $socket providers 2>/dev/null | awk 'NR > 1 { print $1 }')"})
  compadd -a names
}

_credsync() {
  local curcontext=$curcontext state line socket
  local -A opt_args
  local -a ours common need place  # not `commands`, which is the shell's
  ours=(
    'token:print an access token that is good for as long as you ask'
    'exec:run a command that finds a token in a file in memory'
    'status:how the accounts are, and what to do where something is wrong'
    'login:sign an account in'
    'logout:sign an account out'
    'refresh:refresh an account'\''s token now'
    'reject:say that the API refused a token'
    'account:add, remove and list accounts of the configuration'
    'whoami:how the daemon sees you, and what you may do'
    'providers:the catalogue of providers, or one of them in full'
    'log:who got what'
    'reload:make the daemon read its configuration again'
    'doctor:look for what is wrong, and say what mends it'
    'completion:print a completion script for a shell'
  )
  common=('--help[help]' '--socket[the daemon'\''s socket]:socket:_files')
  need=('--min-valid[how long the token must be good]:duration:(30s 60s 5m 10m)' '--wait[how long to wait]:duration:(0s 10s 30s 60s)')
  place=('--system[the configuration of the system]' '--user[your own]' '--config[folder of the daemon]:folder:_directories')
  _arguments -C $common '--version[version]' '1:command:->command' '*::argument:->argument' && return
  case $state in
    command) _describe command ours ;;
    argument)
      socket=${(Q)opt_args[--socket]}
      case $words[1] in
        token) _arguments $common $need '--format[how to print it]:format:(plain json header env)' '1:account:_credsync_accounts' ;;
        exec)
          # What stands after -- is completed as if it stood alone.
          local -i dashes=${words[(i)--]}
          if (( dashes < CURRENT )); then
            shift $dashes words
            (( CURRENT -= dashes ))
            _normal
          else
            _arguments $common $need '--env[environment variable]:name:' '1:account:_credsync_accounts'
          fi ;;
        status) _arguments $common '--json[as JSON]' '--watch[stay and show changes]' '1:account:_credsync_accounts' ;;
        login)
          _arguments $common '--no-browser[open no browser]' '--device[on another device, with a code]' \
            '--browser-user[whose browser brings the answer]:user:_users' '--json[for programs]' \
            '--replace-identity[somebody else than before may sign in]' \
            '--refresh-token-stdin[import a refresh token]' '--token-stdin[import an access token]' \
            '--password-stdin[password from standard input]' '--username[whose password]:name:' '1:account:_credsync_accounts' ;;
        logout | refresh) _arguments $common '1:account:_credsync_accounts' ;;
        reject) _arguments $common '--generation[the refused generation]:generation:' '1:account:_credsync_accounts' ;;
        account)
          case $words[2] in
            add)
              _arguments $common $place '--provider[its id]:provider:_credsync_providers' \
                '--grant[how it gets its tokens]:grant:(authorization_code implicit device_code password client_credentials refresh_token static)' \
                '--client-id[the client at the provider]:id:' '--client-secret-stdin[its secret from standard input]' \
                '--no-client-secret[a public client]' '--username[whose password]:name:' '*--scope[what to ask for]:scope:' \
                '*--var[variable of the addresses]:NAME=VALUE:' '*--param[further parameter]:NAME=VALUE:' \
                '--redirect-uri[as registered]:uri:' '*--allow-user[who may use it]:user:_users' \
                '*--allow-group[who may fetch tokens]:group:_groups' '--print[only show the file]' \
                '--login[sign in then]' '--no-login[do not sign in then]' '1:what:(add)' '2:account:' ;;
            remove) _arguments $common $place '--sign-out[revoke first]' '--yes[do not ask]' '1:what:(remove)' '2:account:_credsync_accounts' ;;
            *) _arguments $common '--names[only names]' '1:what:(add remove list)' ;;
          esac ;;
        whoami) _arguments $common '--pid[of that process]:process:_pids' '--json[as JSON]' ;;
        providers) _arguments $common '--json[as JSON]' '1:provider:_credsync_providers' ;;
        log) _arguments $common '--since[from when on]:when:(1h 12h 24h 7d)' '--follow[stay and show them as they come]' '--json[as JSON]' '1:account:_credsync_accounts' ;;
        completion) _arguments $common '1:shell:(bash zsh fish)' ;;
        *) _arguments $common ;;
      esac ;;
  esac
}
if [ "$funcstack[1]" = _credsync ]; then _credsync "$@"; else compdef _credsync credsync; fi
)zsh";

constexpr std::string_view kFish =
    R"fish(# credsync(1) completion for fish: credsync completion fish > ~/.config/fish/completions/credsync.fish
# The words so far that are neither options nor what --socket takes; no more once the -- of exec has come.
function __credsync_words
    set -l words (commandline -opc)
    set -e words[1]
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --
                return
            case --socket
                set skip 1
            case '-*'
            case '*'
                echo $word
        end
    end
end
function __credsync_needs_command
    not contains -- -- (commandline -opc); and test -z "$(__credsync_words)"
end
# The command is one of these.
function __credsync_is
    contains -- -- (commandline -opc); and return 1
    set -l words (__credsync_words)
    test (count $words) -gt 0; and contains -- $words[1] $argv
end
# The command is account, and what follows is one of these; without any: nothing follows yet.
function __credsync_account
    __credsync_is account; or return
    set -l words (__credsync_words)
    if test (count $argv) = 0
        test (count $words) = 1
    else
        test (count $words) -gt 1; and contains -- $words[2] $argv
    end
end
function __credsync_runs_command
    __credsync_in_exec; and contains -- -- (commandline -opc)
end
function __credsync_in_exec
    set -l words (__credsync_words)
    test (count $words) -gt 0; and test $words[1] = exec
end
# What stands after -- is completed as if it stood alone.
function __credsync_command
    set -l words (commandline -opc)
    set -e words[1..(contains -i -- -- $words)]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end
function __credsync_ask
    set -l words (commandline -opc)
    set -l at (contains -i -- --socket $words)
    and set -l socket --socket $words[(math $at + 1)]
    credsync $socket $argv 2>/dev/null
end
function __credsync_accounts
    __credsync_ask account list --names
end
function __credsync_providers
    __credsync_ask providers | awk 'NR > 1 { print $1 }'
end
complete -c credsync -f
complete -c credsync -n __credsync_runs_command -a '(__credsync_command)'
complete -c credsync -l help -d 'help'
complete -c credsync -l socket -r -F -d 'the daemon\'s socket'
complete -c credsync -n __credsync_needs_command -l version -d 'version'
complete -c credsync -n __credsync_needs_command -a token -d 'print an access token that is good for as long as you ask'
complete -c credsync -n __credsync_needs_command -a exec -d 'run a command that finds a token in a file in memory'
complete -c credsync -n __credsync_needs_command -a status -d 'how the accounts are'
complete -c credsync -n __credsync_needs_command -a login -d 'sign an account in'
complete -c credsync -n __credsync_needs_command -a logout -d 'sign an account out'
complete -c credsync -n __credsync_needs_command -a refresh -d 'refresh an account\'s token now'
complete -c credsync -n __credsync_needs_command -a reject -d 'say that the API refused a token'
complete -c credsync -n __credsync_needs_command -a account -d 'add, remove and list accounts'
complete -c credsync -n __credsync_needs_command -a whoami -d 'how the daemon sees you'
complete -c credsync -n __credsync_needs_command -a providers -d 'the catalogue of providers'
complete -c credsync -n __credsync_needs_command -a log -d 'who got what'
complete -c credsync -n __credsync_needs_command -a reload -d 'make the daemon read its configuration again'
complete -c credsync -n __credsync_needs_command -a doctor -d 'look for what is wrong'
complete -c credsync -n __credsync_needs_command -a completion -d 'print a completion script'
complete -c credsync -n '__credsync_is token exec status login logout refresh reject log' -a '(__credsync_accounts)'
complete -c credsync -n '__credsync_is token exec' -l min-valid -x -a '30s 60s 5m 10m' -d 'how long the token must be good'
complete -c credsync -n '__credsync_is token exec' -l wait -x -a '0s 10s 30s 60s' -d 'how long to wait'
complete -c credsync -n '__credsync_is token' -l format -x -a 'plain json header env' -d 'how to print it'
complete -c credsync -n '__credsync_is exec' -l env -x -d 'environment variable'
complete -c credsync -n '__credsync_is status login whoami providers log' -l json -d 'as JSON'
complete -c credsync -n '__credsync_is status' -l watch -d 'stay and show changes'
complete -c credsync -n '__credsync_is login' -l no-browser -d 'open no browser'
complete -c credsync -n '__credsync_is login' -l device -d 'on another device, with a code'
complete -c credsync -n '__credsync_is login' -l browser-user -x -a '(__fish_complete_users)' -d 'whose browser brings the answer'
complete -c credsync -n '__credsync_is login' -l replace-identity -d 'somebody else than before may sign in'
complete -c credsync -n '__credsync_is login' -l refresh-token-stdin -d 'import a refresh token'
complete -c credsync -n '__credsync_is login' -l token-stdin -d 'import an access token'
complete -c credsync -n '__credsync_is login' -l password-stdin -d 'password from standard input'
complete -c credsync -n '__credsync_is login' -l username -x -d 'whose password'
complete -c credsync -n '__credsync_is reject' -l generation -x -d 'the refused generation'
complete -c credsync -n __credsync_account -a 'add remove list'
complete -c credsync -n '__credsync_account remove' -a '(__credsync_accounts)'
complete -c credsync -n '__credsync_account list' -l names -d 'only names'
complete -c credsync -n '__credsync_account add' -l provider -x -a '(__credsync_providers)' -d 'its id'
complete -c credsync -n '__credsync_account add' -l grant -x -a 'authorization_code implicit device_code password client_credentials refresh_token static' -d 'how it gets its tokens'
complete -c credsync -n '__credsync_account add' -l client-id -x -d 'the client at the provider'
complete -c credsync -n '__credsync_account add' -l client-secret-stdin -d 'its secret from standard input'
complete -c credsync -n '__credsync_account add' -l no-client-secret -d 'a public client'
complete -c credsync -n '__credsync_account add' -l username -x -d 'whose password'
complete -c credsync -n '__credsync_account add' -l scope -x -d 'what to ask for'
complete -c credsync -n '__credsync_account add' -l var -x -d 'variable of the addresses'
complete -c credsync -n '__credsync_account add' -l param -x -d 'further parameter'
complete -c credsync -n '__credsync_account add' -l redirect-uri -x -d 'as registered'
complete -c credsync -n '__credsync_account add' -l allow-user -x -a '(__fish_complete_users)' -d 'who may use it'
complete -c credsync -n '__credsync_account add' -l allow-group -x -a '(__fish_complete_groups)' -d 'who may fetch tokens'
complete -c credsync -n '__credsync_account add' -l print -d 'only show the file'
complete -c credsync -n '__credsync_account add' -l login -d 'sign in then'
complete -c credsync -n '__credsync_account add' -l no-login -d 'do not sign in then'
complete -c credsync -n '__credsync_account add remove' -l system -d 'the configuration of the system'
complete -c credsync -n '__credsync_account add remove' -l user -d 'your own'
complete -c credsync -n '__credsync_account add remove' -l config -r -d 'folder of the daemon'
complete -c credsync -n '__credsync_account remove' -l sign-out -d 'revoke first'
complete -c credsync -n '__credsync_account remove' -l yes -d 'do not ask'
complete -c credsync -n '__credsync_is whoami' -l pid -x -d 'of that process'
complete -c credsync -n '__credsync_is providers' -a '(__credsync_providers)'
complete -c credsync -n '__credsync_is log' -l follow -d 'stay and show them as they come'
complete -c credsync -n '__credsync_is log' -l since -x -a '1h 12h 24h 7d' -d 'from when on'
complete -c credsync -n '__credsync_is completion' -a 'bash zsh fish'
)fish";

}  // namespace

std::string_view completion_script(Shell shell) {
  switch (shell) {
    case Shell::kBash: return kBash;
    case Shell::kZsh: return kZsh;
    case Shell::kFish: return kFish;
  }
  return {};
}

}  // namespace credsync::cli
