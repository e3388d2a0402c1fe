#!/usr/bin/env bash
# Makes, changes, restores and removes an autonomy cluster that updates itself. `--help` says how.
set -euo pipefail
unset -v CDPATH  # with it `cd` prints where it has gone

readonly BASE=docker-compose.yml WATCHTOWER=docker-compose.watchtower.yml MADE=docker-compose.deployment.yml
readonly MANAGED=docker-compose.watchtower-managed.yml
# What Compose takes by itself beside the base file: the first of these that is there.
readonly OVERRIDES=(compose.override.yml compose.override.yaml docker-compose.override.yml docker-compose.override.yaml)
readonly TOKEN=enrol-token API_TOKEN=watchtower-token UPDATER=watchtower ORCHESTRATOR=orchestrator
readonly COMPOSE_FILES=("$BASE" "$WATCHTOWER" "$MANAGED" "$MADE") PRIVATE_FILES=(.env "$TOKEN" "$API_TOKEN")
readonly FILES=("${COMPOSE_FILES[@]}" "${PRIVATE_FILES[@]}")
readonly WRITTEN=(COMPOSE_FILE COMPOSE_PROJECT_NAME ORCHESTRATOR_IMAGE WATCHTOWER_SCOPE WATCHTOWER_INTERVAL
    TIDEGATE_IMAGE TIDEGATE_MANAGER TIDEGATE_AGENT_NAME TIDEGATE_NETWORK DOCKER_SOCKET)  # of .env
readonly CHANNEL=ghcr.io/acme/orchestrator:autonomy-latest AGENT_IMAGE=ghcr.io/tidegate/agent:latest
readonly API_TRIED=1.41  # of the engine's API, what Watchtower is tried with
readonly REFS=refs/tidegate/checkpoints KEPT=20
readonly FAILED=1 REFUSED=2 BROKEN=3 BUSY=75
readonly SECRET_NAME='PASS|PWD|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|PRIVATE|DSN'

# shellcheck disable=SC2016 # the variables are the template's
readonly INSECURE='{{range $name, $one := .RegistryConfig.IndexConfigs}}{{if not $one.Secure}}{{println $name}}{{end}}{{end}}
{{- range .RegistryConfig.InsecureRegistryCIDRs}}{{println .}}{{end}}'  # of `docker info`, a line each

# shellcheck disable=SC2016 # the same
readonly PUBLISHED='{{range $port, $all := .NetworkSettings.Ports}}{{range $all}}{{$port}} {{.HostPort}} {{.HostIp}}{{println}}{{end}}{{end}}'

# What programs that are started see of the environment: what .env says must not be overruled by a variable of the caller.
readonly PASSED_ON=" PATH HOME USER LOGNAME LANG LC_ALL TERM TMPDIR XDG_RUNTIME_DIR XDG_CONFIG_HOME SSH_AUTH_SOCK
 DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION TIDEGATE_ENROLMENT_TOKEN
 HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR "

# FLAG, or FLAG VALUE | variable | default | what it is
readonly OPTIONS=(
    'dir DIR|TIDEGATE_CLUSTER_DIR|./autonomy|the folder of the cluster; made if it is not there'
    "from DIR|TIDEGATE_CLUSTER_FROM|examples/autonomy beside the script|where Compose files come from; named, it replaces those that the folder has"
    'project NAME|TIDEGATE_CLUSTER_PROJECT|what the Compose file says|the name of the Compose project'
    'engine ENGINE|TIDEGATE_UPDATE_ENGINE|tidegate|what updates the cluster: tidegate or watchtower'
    'channel IMAGE|ORCHESTRATOR_IMAGE|what the Compose file says|the image that the orchestrator follows, with its tag'
    'scope NAME|WATCHTOWER_SCOPE|autonomy-cluster|only containers with this scope are updated'
    'interval TIME|WATCHTOWER_INTERVAL|300|time between two looks at the registry: seconds, or such as 90s, 5m, 1h'
    "agent-image IMAGE|TIDEGATE_IMAGE|$AGENT_IMAGE|the image of the agent of this project"
    'manager URL|TIDEGATE_MANAGER|none|the manager that says what is updated and when; none: the agent decides'
    "agent-name NAME|TIDEGATE_AGENT_NAME|this host's name|what the manager calls the agent"
    'manager-network NAME|TIDEGATE_NETWORK|none|the Docker network that a manager on this host is reached by'
    'enrolment-token-file FILE|TIDEGATE_ENROLMENT_TOKEN_FILE|none|the file with the token that the agent enrols with; the token itself may be in TIDEGATE_ENROLMENT_TOKEN'
    'set NAME=VALUE|TIDEGATE_CLUSTER_SET|none|one more line of .env, may be repeated (in the variable: a line each); not for secrets'
    "deadline SECONDS|TIDEGATE_DEPLOY_DEADLINE|300|how long the cluster may take to be up and healthy"
    'settle SECONDS|TIDEGATE_DEPLOY_SETTLE|10|how long the updater has to run without a restart before it counts as up'
    'min-free MB|TIDEGATE_MIN_FREE_MB|1024|disk space that has to be free'
    'dry-run|TIDEGATE_DRY_RUN|false|show what would change and be done, and touch nothing'
    'volumes|TIDEGATE_REMOVE_VOLUMES|false|with remove: the volumes too'
    "verbose|TIDEGATE_VERBOSE|false|show what Compose says"
)

# COMMAND -> the flags that it heeds; apply heeds all but --volumes
declare -rA HEEDED=(
    [status]=' dir ' [list]=' dir '
    [restore]=' dir deadline settle min-free dry-run verbose '
    [remove]=' dir dry-run volumes verbose '
)

declare -A given=()
declare -a flagged=()  # those of `given` that are flags, not variables
declare -a forgotten=()  # the caller's variables that are not passed on
declare -a settings=() words=() problems=() secret_files=() up_files=() moved=()
declare -A told=()  # what the updater's own words say of scope, interval and schedule
declare -a kept=() lost=()  # of these words, as they are written: what stays, and what cannot
command=apply   # what is asked for
dir='' from=''  # the cluster's folder, and where Compose files come from
engine='' project=''
stage=''        # where files are made before they are put in place
child=''        # a program that is waited for
restored=''     # the .env that is gone back to
changing=''     # the checkpoint to put back if this ends now
deaf=''         # signals are not heard any more
token_given=''  # to enrol with, at this run
unknown=''      # nobody knows whether what runs is what the files say
added='' gone='' ran=''  # services that the new files have more or less than the old ones; containers before the change

# --- what is asked for ---

usage() {
    cat <<'TEXT'
Usage: orchestrator_cluster_autoupdate.sh [COMMAND] [FLAGS]

Makes an autonomy cluster that updates itself, or changes one; run again, it changes nothing that is as it is to be.

Commands:
  apply                 make or change the cluster (the default)
  status                what is set, and what runs
  list                  checkpoints of earlier files, the oldest first
  restore [CHECKPOINT]  go back to one; without a name to the newest
  remove                take the cluster down; volumes and files stay
  help                  this text

Flags, each with its variable (a flag wins; what is not given stays as .env has it):
TEXT
    local option flag variable default text
    for option in "${OPTIONS[@]}"; do
        IFS='|' read -r flag variable default text <<<"$option"
        printf '  --%s\n      %s. Variable %s; default: %s.\n' "$flag" "$text" "$variable" "$default"
    done
    printf '  --help\n      this text.\n\n'
    printf 'Ends with 0: as asked; 1: failed, and the cluster is as before; 2: refused, nothing was touched;\n'
    printf '3: failed, and could not be put back; 75: another run is at work; 130, 141, 143: interrupted, as before.\n'
}

say() { printf '%s\n' "$*"; }

complain() { printf '%s\n' "$*" >&2 || true; }  # where nobody reads it, the exit code that follows still tells

refuse() {
    complain "refused: $*"
    exit "$REFUSED"
}

parse() {
    read_variables
    local word name
    while (($#)); do
        word=$1 && shift
        case $word in
            '') refuse "a word is empty, perhaps by a variable that is not set; see --help" ;;
            --help | -h) command=help ;;
            --*=*) name=${word%%=*} && take "${name#--}" "${word#*=}" ;;
            --dry-run | --volumes | --verbose) given[${word#--}]=true && flagged+=("${word#--}") ;;
            --*) (($#)) && [[ $1 != --* ]] || refuse "$word needs a value; see --help" && take "${word#--}" "$1" && shift ;;
            *) words+=("$word") ;;
        esac
    done
    ((${#words[@]} == 0)) || [[ $command == help ]] || command=${words[0]}
    case $command in apply | status | list | restore | remove | help) ;; *) refuse "there is no command $command; see --help" ;; esac
    ((${#words[@]} < 2)) || [[ $command == restore && ${#words[@]} == 2 ]] || refuse "${words[-1]} is one word too many; see --help"
    for word in "${flagged[@]}"; do
        heeds "$word" || refuse "$command does nothing with --$word: leave it out; see --help"
    done
}

# heeds FLAG: whether the command does
heeds() {
    case $command in
        help) ;;
        apply) [[ $1 != volumes ]] ;;
        *) [[ ${HEEDED[$command]} == *" $1 "* ]] ;;
    esac
}

read_variables() {
    local option flag variable
    for option in "${OPTIONS[@]}"; do
        IFS='|' read -r flag variable _ <<<"$option"
        [[ -n ${!variable:-} ]] || continue
        if [[ ${flag%% *} == set ]]; then mapfile -t settings <<<"${!variable}"; else given[${flag%% *}]=${!variable}; fi
    done
    for flag in dry-run volumes verbose; do
        check "$flag" "${given[$flag]:=false}" 'true|false' 'true or false'
    done
}

# take FLAG VALUE
take() {
    case $1 in dry-run | volumes | verbose) refuse "--$1 takes no value" ;; esac
    [[ $(printf '%s\n' "${OPTIONS[@]}") =~ (^|$'\n')"$1 " ]] || refuse "there is no flag --$1; see --help"
    [[ -n $2 ]] || refuse "--$1 is empty, perhaps by a variable that is not set; see --help"
    flagged+=("$1")
    if [[ $1 == set ]]; then settings+=("$2"); else given[$1]=$2; fi
}

is() { [[ ${given[$1]} == true ]]; }

forget_environment() {
    local name
    for name in $(compgen -e); do
        [[ $PASSED_ON != *[[:space:]]"$name"[[:space:]]* ]] || continue
        forgotten+=("$name")
        export -n "${name?}"  # a variable of this script may have the same name
    done
}

# value FLAG KEY DEFAULT: what was given, else what the folder's .env has, else the default
value() {
    local kept
    kept=$(env_value "$2" "$dir/.env")
    say "${given[$1]:-${kept:-$3}}"
}

# check FLAG VALUE PATTERN WHAT-IS-TAKEN
check() { [[ $2 =~ ^($3)$ ]] || refuse "--$1 is $(shown "$2"); it takes $4"; }

# shown VALUE: in quotes, unless there may be an account in it
shown() { if has_account "$1"; then say 'not shown, for there may be a password in it'; else say "'$1'"; fi; }

has_account() { [[ $1 == *@* && $1 != *@sha256:* ]]; }

seconds_of() {
    check interval "$1" '[0-9]{1,7}[smh]?' 'seconds, or a time such as 90s, 5m or 1h'
    local number=${1%[smh]}
    case $1 in *m) number=$((10#$number * 60)) ;; *h) number=$((10#$number * 3600)) ;; *) number=$((10#$number)) ;; esac
    ((number > 0)) || refuse "--interval is '$1'; it takes a time longer than nothing"
    say "$number"
}

# --- .env, read and written a line at a time; a secret in it never comes into a variable of this script ---

# How Compose reads .env, for awk. entry(LINE) is true of the line that ends an entry, whose `name` and `value`, as it is
# written, are then known; within quotes there may be lines. plain(VALUE) is it without quotes, comment and blanks around.
readonly ENTRIES='
    function closing(text, mark) { gsub(/\\./, "..", text); return index(text, mark) }
    function entry(line,    rest) {
        if (quote != "") { value = value "\n" line; rest = line }
        else {
            sub(/^[ \t]*(export[ \t]+)?/, "", line)
            if (!match(line, /^[A-Za-z0-9_.-]+[ \t]*[=:][ \t]*/)) return 0
            name = substr(line, 1, RLENGTH); value = substr(line, RLENGTH + 1)
            sub(/[ \t]*[=:][ \t]*$/, "", name)
            if (value !~ /^["\047]/) return 1
            quote = substr(value, 1, 1); rest = substr(value, 2)
        }
        if (!closing(rest, quote)) return 0
        quote = ""
        return 1
    }
    function plain(text,    at) {
        if (text !~ /^["\047]/) { sub(/ #.*/, "", text); sub(/[ \t\r]+$/, "", text); return text }
        at = closing(substr(text, 2), substr(text, 1, 1))
        return at ? substr(text, 2, at - 1) : substr(text, 2)
    }'

# env_value KEY FILE
env_value() {
    [[ -f $2 ]] || return 0
    awk -v key="$1" "$ENTRIES"'
        entry($0) && name == key { found = plain(value) }
        END { print found }' "$2"
}

# env_set KEY VALUE FILE: in the place of its lines, else of the comment that shows it, else at the end; no value: no line
env_set() {
    [[ $(env_value "$1" "$3") != "$2" ]] || return 0
    KEY=$1 VALUE=$(quoted "$2") awk -v remove="$([[ -n $2 ]] || printf 1)" "$ENTRIES"'
        function shows(line) { sub(/^[ \t]*/, "", line); return index(line, "#" key "=") == 1 }
        BEGIN { key = ENVIRON["KEY"]; new = key "=" ENVIRON["VALUE"] }
        {
            lines[NR] = $0; within = (quote != ""); ends = entry($0); if (!within) begun = NR
            if ((within || ends || quote != "") && name == key) { old[NR]; if (!real) at = NR; real = 1 }
            else if (!at && !within && shows($0)) at = NR
        }
        END {
            if (quote != "") for (i = begun + 1; i <= NR; i++) delete old[i]  # a quote that nobody has closed: its line alone
            for (i = 1; i <= NR; i++)
                if (i == at && !remove) print new
                else if (!(i in old)) print lines[i]
            if (!at && !remove) print new
        }' "$3" >"$3.next"
    mv -f "$3.next" "$3"
}

quoted() {
    if [[ $1 =~ ^[A-Za-z0-9_./:@%+,=-]*$ ]]; then printf '%s' "$1"; else printf "'%s'" "$1"; fi
}

# Passes standard input on without anything that a file of `secret_files` holds as a secret.
masked() {
    awk -v names="$SECRET_NAME" "$ENTRIES"'
        function keep(text,    parts, number, i) {
            number = split(text, parts, "\n")
            for (i = 1; i <= number; i++) {
                sub(/[ \t\r]+$/, "", parts[i])
                if (length(parts[i]) >= 4 && !(parts[i] in known)) { known[parts[i]]; secrets[++count] = parts[i] }
            }
        }
        # As it is, and as Compose reads or shows it, where a dollar may be two.
        function keep_all(text,    one, two) {
            one = two = text; gsub(/\$\$/, "$", one); gsub(/\$/, "$$", two)
            keep(text); keep(one); keep(two)
        }
        function unescaped(text,    before) {
            while (match(text, /\\./)) { before = before substr(text, 1, RSTART - 1) meant(substr(text, RSTART + 1, 1)); text = substr(text, RSTART + 2) }
            return before text
        }
        function meant(letter) { return letter ~ /[nr]/ ? "\n" : letter == "t" ? "\t" : letter }
        function keep_value(text,    inner) {
            keep(text)
            inner = plain(text); keep_all(inner); keep_all(unescaped(inner))
            gsub(/\\"/, "\"", inner); gsub(/\\\047/, "\047", inner); keep_all(inner)  # all that single quotes take as escaped
        }
        function keep_accounts(line,    account) {
            while (match(line, /:\/\/[^\/ "\047]*@/)) {
                account = substr(line, RSTART + 3, RLENGTH - 4); line = substr(line, RSTART + RLENGTH)
                if (account !~ /:/) { keep(account "@"); continue }
                keep(account); sub(/^[^:]*:/, "", account); keep(account)
            }
        }
        function learn(line,    within) {
            if (file ~ /token$/) { keep(line); return }
            keep_accounts(line)
            within = (quote != "")
            if (entry(line)) { if (within || toupper(name) ~ names) keep_value(value) }
            else if (quote == "" && match(line, /^[^#=:]*[=:][ \t]*/) && toupper(substr(line, 1, RLENGTH)) ~ names) keep_value(substr(line, RLENGTH + 1))
        }
        # What opens a quote that nothing closes may be any number of entries; Compose tells of it, and with its text.
        function learn_open(    parts, number, i) {
            keep_value(value); number = split(value, parts, "\n"); quote = ""
            for (i = 2; i <= number; i++) learn(parts[i])
        }
        function learn_all() {
            quote = ""
            while ((getline line < file) > 0) learn(line)
            while (quote != "") learn_open()
        }
        function without(line, text,    at, before) {
            while (at = index(line, text)) { before = before substr(line, 1, at - 1) "***"; line = substr(line, at + length(text)) }
            return before line
        }
        BEGIN {
            for (i = 1; i < ARGC; i++) { file = ARGV[i]; learn_all(); ARGV[i] = "" }
            for (i = 1; i < count; i++) for (j = i + 1; j <= count; j++)
                if (length(secrets[j]) > length(secrets[i])) { line = secrets[i]; secrets[i] = secrets[j]; secrets[j] = line }
        }
        {
            line = $0; for (i = 1; i <= count; i++) line = without(line, secrets[i])
            if (match(line, /^[-+ ]?(export )?[A-Za-z0-9_]+=/)) {
                name = substr(line, 1, RLENGTH)
                if (toupper(name) ~ names && name !~ /_FILE=$/ && substr(line, RLENGTH + 1) !~ /^\*\*\*( |$)/) line = name "***"
            }
            print line
        }' "${secret_files[@]}"
}

know_secrets() {
    local file
    secret_files=()
    for file in {"$dir","$stage/new"}/{.env,"$TOKEN","$API_TOKEN"}; do [[ ! -r $file || ! -f $file ]] || secret_files+=("$file"); done
}

# --- the engine ---

# warned WORDS...: runs something whose output is read; what it says beside that is shown without secrets
warned() {
    local code=0
    "$@" 2>"$stage/warnings" || code=$?
    masked <"$stage/warnings" >&2
    return "$code"
}

# with_files FOLDER WORDS...: Compose with files that are not in their place yet, as if they were
with_files() { with_list "$1" "$(compose_list "$1")" "${@:2}"; }

# with_list FOLDER FILES WORDS...: the same with the files that are named, a line each
with_list() {
    local files=() file
    while IFS= read -r file; do
        if [[ $file != /* && -f $1/$file ]]; then files+=(-f "$1/$file"); else files+=(-f "$(placed "$file")"); fi
    done <<<"$2"
    [[ ! -f $1/.env ]] || files+=(--env-file "$1/.env")
    docker compose --project-directory "$dir" "${files[@]}" "${@:3}"
}

# compose_list FOLDER: the files that its .env names, a line each; else those that Compose takes by itself
compose_list() {
    local list file mark
    mark=$(separator "$1/.env")
    list=$(env_value COMPOSE_FILE "$1/.env")
    for file in "${OVERRIDES[@]}"; do
        [[ -n $list || ! -f $dir/$file ]] || list=$BASE$mark$file
    done
    list=${list:-$BASE}
    while IFS= read -r file; do named "$file"; done <<<"${list//"$mark"/$'\n'}"
}

# separator ENV-FILE: what is between the files of COMPOSE_FILE
separator() {
    local mark
    mark=$(env_value COMPOSE_PATH_SEPARATOR "$1")
    say "${mark:-:}"
}

# named FILE: by its name alone, where it lies in the folder itself; else as it is
named() {
    if [[ $1 == */* && $(realpath -m -- "$(dirname -- "$(placed "$1")")") == "$dir" ]]; then say "${1##*/}"; else say "$1"; fi
}

# placed FILE: where a file is that COMPOSE_FILE names
placed() { if [[ $1 == /* ]]; then say "$1"; else say "$dir/$1"; fi; }

# attended WORDS...: runs something long, so that a signal is heard meanwhile; its output is kept in `$stage/log`
attended() {
    "$@" >"$stage/log" 2>&1 &
    child=$!
    local code=0
    wait "$child" || code=$?
    child=''
    if is verbose || ((code)); then masked <"$stage/log" | tail -n 40 >&2; fi
    return "$code"
}

bring_up() {
    attended timeout -k 10 "$((given[deadline] + 30))" docker compose --project-directory "$dir" "${up_files[@]}" \
        up -d --wait --wait-timeout "${given[deadline]}" "$@"
}

# The files that .env names, as flags: --project-directory alone does not make Compose look for them there.
find_up_files() {
    local file
    up_files=()
    [[ ! -f $dir/.env ]] || up_files=(--env-file "$dir/.env")
    while IFS= read -r file; do up_files+=(-f "$(placed "$file")"); done < <(compose_list "$dir")
}

# Whatever has the project's labels, with the files or without them.
take_down() { (cd / && docker compose -p "$project" down --remove-orphans "$@"); }

containers() { docker ps -a -q --no-trunc --filter "label=com.docker.compose.project=$project" "$@" | sort; }

# --- what has to be there first ---

problem() { problems+=("$*"); }

refuse_problems() {
    ((${#problems[@]})) || return 0
    complain "refused, the cluster is as it was:"
    printf '  - %s\n' "${problems[@]}" >&2
    exit "$REFUSED"
}

check_host() {
    command -v docker >/dev/null || { problem "there is no docker program: install Docker Engine 20.10 or later, https://docs.docker.com/engine/install/" && return; }
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
        problem "no Docker engine answers: start it (systemctl start docker), or see to DOCKER_HOST and to whether this user may use its socket"
    docker compose version >/dev/null 2>&1 || { problem "there is no Compose v2: install the docker-compose-plugin package" && return; }
    grep -q -- --wait-timeout < <(docker compose up --help 2>/dev/null) ||
        problem "this Compose has no 'up --wait-timeout': install a newer docker-compose-plugin"
}

check_folder() {
    local place=$dir
    while [[ ! -e $place ]]; do place=$(dirname "$place"); done
    [[ -d $place && -w $place ]] || problem "$place cannot be written: run this as its owner, or name another folder with --dir"
    enough_space "$place" "the cluster's files"
    place=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null) || return 0
    [[ ! -d $place ]] || enough_space "$place" "Docker's images"
}

# enough_space FOLDER WHAT-FOR
enough_space() {
    local free
    free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
    ((free >= ${given[min-free]})) || problem "$1 has $free MB free, $2 need ${given[min-free]}: make room (docker image prune), or say --min-free"
}

check_services() {
    local name
    own_config
    check_forgotten
    if [[ -s $stage/own ]]; then
        for name in "$ORCHESTRATOR" "$UPDATER"; do
            [[ -n $(own_service "$name") ]] ||
                problem "$dir/$BASE has no service '$name': copy that of examples/autonomy/$BASE into it (not with --from, which replaces the whole file)"
        done
    fi
    ((${#problems[@]})) || attended with_files "$stage/new" config -q || problem "the Compose files are not valid, see above"
}

# What a link leads to may be others' as well, and is outside the folder that is put back.
check_links() {
    local file
    while IFS= read -r file; do
        [[ ! -L $dir/$file ]] || problem "$dir/$file is a link, and would change: make it a file of the folder's own first ('$(unlinking "$dir/$file")')"
    done < <(changed_files)
}

# unlinking LINK: the command that puts what it leads to in its place
unlinking() { if [[ -f $1 ]]; then printf 'cp --remove-destination -- %q %q' "$(realpath "$1")" "$1"; else printf 'rm %q' "$1"; fi; }

# What the caller's shell has exported is not passed on, so that .env alone says what runs: `docker compose` by hand, the
# agent and the next run would have it blank. Values are never looked at.
check_forgotten() {
    local name
    used_variables >"$stage/used"
    for name in "${forgotten[@]}"; do
        ! grep -qxF "$name" "$stage/used" || grep -qsE "^[[:space:]]*(export[[:space:]]+)?${name}[[:space:]]*[=:]" "$stage/new/.env" ||
            problem "the Compose files use $name, which your shell exports and $dir/.env lacks: write its line into that (or 'unset $name', if its default is meant)"
    done
}

# The variables that the Compose files name, a line each: in values, and as what is passed on without one.
used_variables() {
    local file
    while IFS= read -r file; do
        if [[ $file != /* && -f $stage/new/$file ]]; then cat -- "$stage/new/$file"; else cat -- "$(placed "$file")" 2>/dev/null || true; fi
    done < <(compose_list "$stage/new") |
        sed -e 's/^[[:space:]]*#.*//' -e 's/\$\$//g' | grep -oE '\$\{?[A-Za-z_][A-Za-z0-9_]*' | tr -cd 'A-Za-z0-9_\n' || true
    sed -n 's/^      \([A-Za-z_][A-Za-z0-9_]*\): null$/\1/p' "$stage/own"
}

# What the cluster's own files say, without those that this script adds, in `$stage/own`; nothing, where Compose cannot read them.
own_config() {
    with_list "$stage/new" "$(compose_list "$stage/new" | grep -vxF -e "$WATCHTOWER" -e "$MANAGED" -e "$MADE")" config >"$stage/own" 2>/dev/null ||
        : >"$stage/own"
}

# own_service NAME: its lines in `$stage/own`
own_service() { service_in "$stage/own" "$1"; }

# service_in FILE NAME: its lines in a resolved Compose file
service_in() {
    awk -v start="  $2:" '/^[^ ]/ { inside = ($0 == "services:") } /^  [^ ]/ { here = (inside && $0 == start) } here && /^  / { print }' "$1"
}

own_image() { own_service "$1" | sed -n 's/^    image: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p'; }

check_names() {
    local name owner
    while read -r name; do
        owner=$(docker container inspect --format '{{index .Config.Labels "com.docker.compose.project"}}' "$name" 2>/dev/null) || continue
        [[ $owner == "$project" ]] || problem "the name $name is taken by a container of ${owner:-somebody else}: remove that (docker rm -f $name), or name yours otherwise (container_name)"
    done < <(sed -n 's/^    container_name: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$stage/config")
}

# What has ended by itself in a cluster that somebody made could neither be brought up nor put back: Compose waits for it to run.
check_ending() {
    local service
    [[ ! -f $dir/.tidegate/project ]] || return 0
    while read -r service; do
        if is_waited_for "$service" || grep -qE '^    restart: (always|unless-stopped)$' < <(service_in "$stage/config" "$service"); then continue; fi
        [[ -z $(containers_of "$service" --filter status=exited --filter exited=0) ]] ||
            problem "$service has ended with 0, which Compose takes for a failure: $(ending "$service")"
    done <"$stage/names"
}

check_networks() {
    local name owner kind
    while read -r kind name; do
        if ! owner=$(docker network inspect --format '{{index .Labels "com.docker.compose.project"}}' "$name" 2>/dev/null); then
            [[ $kind == own ]] || problem "there is no network $name: start what has it first, or make it (docker network create $name)"
        elif [[ $kind == own && $owner != "$project" ]]; then
            problem "the network $name is of ${owner:-somebody else}: remove it (docker network rm $name), or take another --project"
        fi
    done < <(networks_of "$stage/config")
}

# A line for each network of a resolved Compose file: "own NAME" or "external NAME".
networks_of() {
    awk '
        function tell() { if (name != "") print kind, name; name = ""; kind = "own" }
        /^[^ ]/ { tell(); inside = ($0 ~ /^networks:/); next }
        inside && /^  [^ ]/ { tell() }
        inside && /^    name: / { name = $2; gsub(/"/, "", name) }
        inside && /^    external: true/ { kind = "external" }
        END { tell() }' "$1"
}

check_ports() {
    local address port protocol holder
    while read -r address port protocol; do
        [[ -z $(containers --filter "publish=$port/$protocol") ]] || continue
        holder=$(port_holder "$address" "$port" "$protocol")
        if [[ -z $holder && $protocol == tcp && $(docker_host) == unix://* ]] && answers "$address" "$port"; then holder='another program'; fi
        [[ -z $holder ]] || problem "port $port of this host is taken by $holder: stop that (docker ps; ss -ltnp), or publish another"
    done < <(ports_of "$stage/config" | sort -u)
}

# A line for each published port of a resolved Compose file: ADDRESS PORT PROTOCOL, the address * where none is said.
ports_of() {
    awk '
        function tell() { if (port ~ /^[0-9]+$/) print address, port, protocol; port = ""; address = "*"; protocol = "tcp" }
        { gsub(/"/, "") }
        /^ *- mode: / || !/^        / { tell() }
        /^ *(- )?host_ip: / { address = $NF }
        /^ *(- )?published: / { port = $NF }
        /^ *(- )?protocol: / { protocol = $NF }
        END { tell() }' "$1" | sed -E 's/^(0\.0\.0\.0|::) /* /'
}

# port_holder ADDRESS PORT PROTOCOL: a container that has it
port_holder() {
    local name there
    while read -r name; do
        while read -r there; do
            case $1/${there:-::} in \*/* | */0.0.0.0 | */:: | "$1/$1") say "$name" && return ;; esac
        done < <(docker container inspect --format "$PUBLISHED" "$name" | sed -n "s|^[0-9]*/$3 $2 ||p")
    done < <(docker ps --filter "publish=$2/$3" --format '{{.Names}}')
}

# shellcheck disable=SC2016 # the variables are for the other bash
# answers ADDRESS PORT
answers() {
    local address=$1
    [[ $address != '*' ]] || address=127.0.0.1
    timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$address" "$2" 2>/dev/null
}

docker_host() { docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || say "${DOCKER_HOST:-}"; }

# Only what the engine has not: a newer release is for the updater to find, which drops no requests over it.
check_images() {
    local image how=(docker pull -q)
    while read -r image; do
        docker image inspect "$image" >/dev/null 2>&1 && continue
        if is dry-run; then how=(in_registry); else say "pulling $image"; fi
        attended "${how[@]}" "$image" ||
            problem "the image $image cannot be had: see to its name and tag, log in (docker login), or build it$(how_to_build "$image")"
    done < <(warned with_files "$stage/new" config --images | sort -u)
}

how_to_build() {
    [[ $1 != *tidegate/agent:* ]] || printf ' (docker build -f deploy/Dockerfile -t %s . in the folder of the repository)' "$1"
}

in_registry() {
    timeout 30 docker manifest inspect "$1" || { without_tls "$1" && timeout 30 docker manifest inspect --insecure "$1"; }
}

# without_tls IMAGE: whether its registry is one that the engine speaks to without TLS; with a login there, nobody else is to be.
without_tls() {
    local host=${1%%/*} name
    [[ $1 == */* && $host == *[.:]* || $host == localhost ]] || return 1
    [[ ! $host =~ ^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?$ ]] || return 0
    while IFS= read -r name; do
        [[ $name != "$host" ]] || return 0
        ! in_net "${host%:*}" "$name" || return 0
    done < <(docker info --format "$INSECURE" 2>/dev/null)
    return 1
}

# in_net ADDRESS ADDRESS/BITS, of IPv4
in_net() {
    local rest
    [[ $1 =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ && $2 =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$ ]] || return 1
    rest=$((32 - 10#${2#*/}))
    (($(number_of "$1") >> rest == $(number_of "${2%/*}") >> rest))
}

number_of() {
    local a b c d
    IFS=. read -r a b c d <<<"$1"
    say "$(((10#$a << 24) + (10#$b << 16) + (10#$c << 8) + 10#$d))"
}

check_manager() {
    local url network
    if env_value TIDEGATE_MANAGER "$stage/new/.env" | grep -q @; then  # curl's arguments are for everybody to see
        problem "the manager has an account in its address, which the agent does not take either: take it out of TIDEGATE_MANAGER${restored:+ in $restored}" && return
    fi
    url=$(env_value TIDEGATE_MANAGER "$stage/new/.env")
    [[ -n $url ]] || return 0
    [[ -f $stage/new/$TOKEN ]] || { [[ $engine == tidegate ]] && same_manager; } ||  # it may have enrolled by now
        problem "a manager is named, but there is no token to enrol with: make one (tidegate agents enrol NAME) and give it with --enrolment-token-file"
    network=$(env_value TIDEGATE_NETWORK "$stage/new/.env")
    if [[ -n $network ]]; then
        say "the manager is reached by the network $network, so it is the agent that asks it"
    elif command -v curl >/dev/null; then
        curl -fsS -o /dev/null --max-time 10 "${url%/}/healthz" 2>"$stage/log" ||
            not_asked "the manager does not answer at $(without_account "$url"): $(masked <"$stage/log" | head -n 1); see to the address, its certificate, a proxy, or the manager itself"
    else
        not_asked "there is no curl, by which the manager is asked: install curl"
    fi
}

same_manager() { cmp -s <(env_value TIDEGATE_MANAGER "$dir/.env") <(env_value TIDEGATE_MANAGER "$stage/new/.env"); }

# not_asked WHAT: a reason to refuse a manager that is new here. Who goes back, or stays with one, has to be able to
# while it is away: that may be why.
not_asked() {
    if [[ $command == restore ]] || same_manager; then complain "warning: $1"; else problem "$1"; fi
}

# Watchtower ends at once where the engine does not take the version that it speaks. Who goes back is warned only.
check_api_version() {
    local version oldest newest what
    [[ $engine == watchtower ]] || return 0
    version=$(service_in "$stage/config" "$UPDATER" | sed -n 's/^      DOCKER_API_VERSION: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p')
    read -r oldest newest < <(engine_takes) || true
    [[ -n $version && -n $newest ]] || return 0
    ! { [[ $version =~ ^[0-9]+\.[0-9]+$ ]] && in_order "$oldest" "$version" "$newest"; } || return 0
    what="WATCHTOWER_DOCKER_API_VERSION is '$version', and this engine takes $oldest to $newest: take its line out of $dir/.env, and what fits is found; or name one of these"
    if [[ $command == restore ]]; then complain "warning: $what"; else problem "$what"; fi
}

# The oldest and the newest version of its API that the engine takes.
engine_takes() { docker version --format '{{.Server.MinAPIVersion}} {{.Server.APIVersion}}' 2>/dev/null; }

in_order() { printf '%s\n' "$@" | sort -C -V; }

without_account() { sed -E 's|://[^/@]*@|://***@|' <<<"$1"; }

# --- the new files, made aside ---

settle_settings() {
    local line name
    engine=${given[engine]:-$(engine_of "$dir")}
    check engine "$engine" 'tidegate|watchtower' 'tidegate or watchtower'
    for line in "${settings[@]}"; do
        [[ $line =~ ^[A-Za-z_][A-Za-z0-9_]*=[^\']*$ && $line != *$'\n'* ]] || refuse "--set takes NAME=VALUE, on one line and without '"
        name=${line%%=*}
        [[ ! ${name^^} =~ ${SECRET_NAME} && ! $line =~ ://[^/]*:[^/]*@ ]] || refuse "--set is not for secrets, and $name looks like one: write it into $dir/.env"
    done
}

engine_of() {
    if [[ $'\n'$(compose_list "$1")$'\n' == *$'\n'"$WATCHTOWER"$'\n'* ]]; then say watchtower; else say tidegate; fi
}

# Everything that the folder is to have, in `$stage/new`.
make_files() {
    local file
    mkdir -p "$stage/new"
    for file in "$BASE" "$WATCHTOWER" "$MANAGED"; do
        [[ $file == "$BASE" || $engine == watchtower || -f $dir/$file ]] || continue  # it would be of no use
        if [[ -f $dir/$file && -z ${given[from]:-} ]]; then
            cp -- "$dir/$file" "$stage/new/$file"
        elif [[ -f $from/$file ]]; then
            cp -- "$from/$file" "$stage/new/$file"
        fi
    done
    for file in compose.yaml compose.yml docker-compose.yaml; do
        [[ -f $dir/$BASE || ! -f $dir/$file ]] || refuse "the Compose file in $dir is $file: rename it to $BASE first"
    done
    for file in compose.yaml compose.yml; do
        [[ ! -f $dir/$BASE || ! -f $dir/$file || -n $(env_value COMPOSE_FILE "$dir/.env") ]] ||
            refuse "there are $file and $BASE in $dir, and Compose takes the first: rename that to $BASE, or, if the second is meant, move $file away"
    done
    [[ $'\n'$(compose_list "$dir")$'\n' == *$'\n'"$BASE"$'\n'* ]] ||
        refuse "COMPOSE_FILE in $dir/.env does not name $BASE, so it is no part of the cluster: rename the file that has the cluster to $BASE, and name that"
    [[ -f $stage/new/$BASE ]] || refuse "there is no $BASE in $dir, and none in ${from:-examples/autonomy beside this script}: say where it is with --from"
    [[ $engine == tidegate || -f $stage/new/$WATCHTOWER ]] ||
        refuse "there is no $WATCHTOWER in $dir or ${from:-examples/autonomy beside this script}, which has Watchtower's settings: say where it is with --from"
    if [[ -f $dir/.env ]]; then cat -- "$dir/.env"; elif [[ -f $from/.env.example ]]; then cat -- "$from/.env.example"; fi >"$stage/new/.env"
    make_token
    [[ $engine == tidegate ]] || make_api_token
    write_env "$stage/new/.env"
    write_made >"$stage/new/$MADE"
    chmod 600 "$stage/new/.env"
}

make_token() {
    local file=${given[enrolment-token-file]:-} to=$stage/new/$TOKEN
    token_given=${file:+yes}${TIDEGATE_ENROLMENT_TOKEN:+yes}
    if [[ -n $file ]]; then
        [[ -f $file && -r $file ]] || refuse "--enrolment-token-file names no file that can be read; it takes a file's name, not the token itself"
        tr -d ' \r\n' <"$file" >"$to"
    elif [[ -n ${TIDEGATE_ENROLMENT_TOKEN:+given} ]]; then
        printenv TIDEGATE_ENROLMENT_TOKEN | tr -d ' \r\n' >"$to"
        unset -v TIDEGATE_ENROLMENT_TOKEN
    elif [[ -f $dir/$TOKEN ]]; then
        cat -- "$dir/$TOKEN" >"$to"
    fi
    [[ ! -f $to || -s $to ]] || refuse "the enrolment token is empty: make one (tidegate agents enrol NAME)"
    [[ ! -f $to ]] || chmod 600 "$to"
}

# What is shown to Watchtower's HTTP API; made once, and never shown.
make_api_token() {
    local to=$stage/new/$API_TOKEN
    if [[ -f $dir/$API_TOKEN ]]; then cat -- "$dir/$API_TOKEN"; else od -An -N 32 -tx1 /dev/urandom | tr -d ' \n'; fi >"$to"
    chmod 600 "$to"
}

# write_env FILE
write_env() {
    local channel scope interval list
    write_settings "$1"  # without which Compose may not read the files
    list=$(files_to_name "$1")
    env_set COMPOSE_FILE "$list" "$1"
    write_settings "$1"
    own_config
    channel=$(value channel ORCHESTRATOR_IMAGE "$(own_channel)")
    check channel "$channel" '[a-z0-9][a-z0-9._:/-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*' 'an image with the tag that is followed, such as ghcr.io/acme/orchestrator:autonomy-latest'
    sort_words
    refuse_lost
    scope=$(value scope WATCHTOWER_SCOPE "$(first_of "${told[scope]:-}" "$(own_env WATCHTOWER_SCOPE)" "$(own_env TIDEGATE_SCOPE)" autonomy-cluster)")
    check scope "$scope" '[A-Za-z0-9][A-Za-z0-9._-]*' 'a name of letters, digits, dots, _ and -'
    interval=$(seconds_of "$(value interval WATCHTOWER_INTERVAL "$(own_interval)")")
    env_set ORCHESTRATOR_IMAGE "$channel" "$1"
    env_set WATCHTOWER_SCOPE "$scope" "$1"
    env_set WATCHTOWER_INTERVAL "$interval" "$1"
    env_if_given agent-image TIDEGATE_IMAGE "$1" '[a-z0-9][A-Za-z0-9._:/@-]*' 'an image'
    env_if_given project COMPOSE_PROJECT_NAME "$1" '[a-z0-9][a-z0-9_-]*' 'a name of small letters, digits, _ and -'
    write_manager "$1"
    write_socket "$1"
    write_settings "$1"  # they win
}

write_settings() {
    local line
    for line in "${settings[@]}"; do env_set "${line%%=*}" "${line#*=}" "$1"; done
}

# What the orchestrator of a cluster that somebody made follows now.
own_channel() {
    local image
    image=$(own_image "$ORCHESTRATOR")
    [[ -z $image || ${image##*/} == *[:@]* ]] || image+=:latest
    say "${image:-$CHANNEL}"
}

# What the updater's own command has, in `told`, `kept` and `lost`. `--label-enable` goes without saying.
sort_words() {
    local word item items
    read_own_updater
    told=() kept=() lost=()
    mapfile -t items < <(awk '/^    [^ ]/ { here = ($0 == "    command:"); next } here { sub(/^      (- )?/, ""); print }' "$stage/updater")
    set -- "${items[@]}"
    while (($#)); do
        item=$1 word=$(bare "$1") && shift
        if [[ $word =~ ^-([cdemvRS])([A-Za-z].*)$ ]]; then  # several letters after one dash
            set -- "-${BASH_REMATCH[2]}" "$@"
            word=-${BASH_REMATCH[1]} && item=$word
        fi
        if [[ $word =~ ^(-i|-s|--interval|--schedule|--scope)$ ]]; then
            tell_word "$word" "$(bare "${1:-}")"
            shift "$(($# > 0))"
        elif [[ $word =~ ^(-i|-s|--interval=|--schedule=|--scope=)(.*)$ ]]; then
            tell_word "${BASH_REMATCH[1]%=}" "${BASH_REMATCH[2]#=}"
        elif can_be_kept "$word"; then
            [[ $word =~ ^(-e|--label-enable)(=.*)?$ ]] || kept+=("$item")
        fi
    done
}

# What the files say of the updater, without what this script adds, in `$stage/updater`.
read_own_updater() {
    if [[ $engine == watchtower ]] &&
        with_list "$stage/new" "$(compose_list "$stage/new" | grep -vxF -e "$MANAGED" -e "$MADE")" config >"$stage/theirs" 2>/dev/null; then
        service_in "$stage/theirs" "$UPDATER"
    else
        own_service "$UPDATER"
    fi >"$stage/updater"
}

# bare TEXT: without the quotes around it
bare() {
    local text=$1
    case $text in \"*\" | \'*\') text=${text:1:-1} ;; esac
    say "$text"
}

# tell_word FLAG VALUE
tell_word() {
    case $1 in
        -i | --interval) told[interval]=$2 ;;
        -s | --schedule) told[schedule]=$2 ;;
        *) told[scope]=$2 ;;
    esac
}

# can_be_kept WORD: in the command that this script writes; if not, it is among `lost`. What it writes is for everybody to read.
can_be_kept() {
    case $1 in
        --label-enable | --label-enable=[tT1]* | -e) return 0 ;;
        --label-enable=* | -e=*) lost+=("$1 (only what has the label is updated)") ;;
        -R | --run-once | --run-once=[tT1]* | --health-check*) lost+=("$1 (the updater would end)") ;;
        --*token* | --*password*) lost+=("${1%%=*} (write the secret into its environment instead, as a variable)") ;;
        *://*@*) lost+=("an address with an account (write it into its environment instead, as a variable)") ;;
        [\|\>]*) lost+=("a word of several lines") ;;
        --no-restart* | --remove-volumes* | --porcelain* | -P* | -n* | --notification*)
            [[ $engine == tidegate ]] || return 0
            lost+=("${1%%=*} (of Watchtower alone)")
            ;;
        *) return 0 ;;
    esac
    return 1
}

refuse_lost() {
    local text name
    ((${#lost[@]} == 0)) || { printf -v text '%s, ' "${lost[@]}" && refuse "the updater's command has ${text%, }, which cannot be kept: take it out of the Compose file in $dir"; }
    for name in WATCHTOWER_SCHEDULE TIDEGATE_SCHEDULE; do
        [[ -z $(own_env "$name") ]] ||
            refuse "the updater's environment has $name, which cannot be kept beside an interval: take it out of the Compose file in $dir, and say --interval"
    done
    [[ -z ${told[schedule]:-} || -n ${given[interval]:-} || -f $dir/$MADE ]] ||
        refuse "the updater has the schedule '${told[schedule]}', which cannot be kept: say --interval, which takes its place"
}

# own_env NAME: what the files say of that variable of the updater's
own_env() {
    bare "$(awk -v start="      $1: " '
        /^    [^ ]/ { here = ($0 == "    environment:") }
        here && index($0, start) == 1 && $2 != "null" { print substr($0, length(start) + 1) }' "$stage/updater")"
}

own_interval() {
    first_of "${told[interval]:-}" "$(own_env WATCHTOWER_POLL_INTERVAL)" "$(own_env WATCHTOWER_INTERVAL)" "$(own_env TIDEGATE_INTERVAL)" 300
}

# first_of WORDS...: the first that is not empty
first_of() {
    while [[ -z $1 ]]; do shift; done
    say "$1"
}

# env_if_given FLAG KEY FILE PATTERN WHAT-IS-TAKEN
env_if_given() {
    [[ -n ${given[$1]:-} ]] || return 0
    check "$1" "${given[$1]}" "$4" "$5"
    env_set "$2" "${given[$1]}" "$3"
}

write_manager() {
    local url
    url=$(value manager TIDEGATE_MANAGER none)
    if [[ $url == none ]]; then
        [[ -z $token_given ]] || refuse "a token is given to enrol with, and no manager: say --manager (or unset TIDEGATE_ENROLMENT_TOKEN)"
        env_set TIDEGATE_MANAGER '' "$1"
        return
    fi
    check manager "$url" 'https?://[^/@?# ]+/?' 'an address such as https://tidegate.example.com, without a path and without a password'
    [[ $engine == tidegate || -f $stage/new/$MANAGED ]] ||
        refuse "there is no $MANAGED in $dir or ${from:-examples/autonomy beside this script}, which has the agent that asks the manager: say where it is with --from"
    env_set TIDEGATE_MANAGER "$url" "$1"
    env_set TIDEGATE_AGENT_NAME "$(value agent-name TIDEGATE_AGENT_NAME "$(uname -n)")" "$1"
    check agent-name "$(env_value TIDEGATE_AGENT_NAME "$1")" '[A-Za-z0-9][A-Za-z0-9._-]{0,62}' '1 to 63 letters, digits, dots, _ and -'
    if [[ ${given[manager-network]:-} == none ]]; then
        env_set TIDEGATE_NETWORK '' "$1"
    else
        env_if_given manager-network TIDEGATE_NETWORK "$1" '[A-Za-z0-9][A-Za-z0-9._-]*' 'the name of a network'
    fi
}

# The updater's socket is the one that this script uses, if that is another than everybody's.
write_socket() {
    local socket
    socket=$(docker_host)
    [[ $socket == unix://* && $socket != unix:///var/run/docker.sock ]] || return 0
    env_set DOCKER_SOCKET "${socket#unix://}" "$1"
}

# files_to_name ENV-FILE: what COMPOSE_FILE is to say; what it said of others' files stays.
files_to_name() {
    local list='' mark file files=("$BASE")
    mark=$(separator "$1")
    while IFS= read -r file; do
        [[ " ${COMPOSE_FILES[*]} " == *" $file "* ]] || files+=("$file")
    done < <(compose_list "$dir")
    [[ $engine == tidegate ]] || files+=("$WATCHTOWER")
    [[ $engine == tidegate || $(value manager TIDEGATE_MANAGER none) == none ]] || files+=("$MANAGED")
    for file in "${files[@]}" "$MADE"; do
        [[ $file != *"$mark"* ]] || refuse "COMPOSE_PATH_SEPARATOR is '$mark', which is in the name $file: take another"
        list+=${list:+$mark}$file
    done
    say "$list"
}

# shellcheck disable=SC2016 # the variables are for Compose to fill in
# The part of the cluster that follows from what was asked for; all values are in .env.
write_made() {
    cat <<'YAML'
# Written by orchestrator_cluster_autoupdate.sh at each run: change .env, or its flags, instead of this.
services:
  orchestrator:
    image: ${ORCHESTRATOR_IMAGE}
    labels:
      com.centurylinklabs.watchtower.enable: "true"
      com.centurylinklabs.watchtower.scope: ${WATCHTOWER_SCOPE}
  watchtower:
YAML
    write_words
    [[ $engine == watchtower ]] || write_agent_image
    say '    environment:'
    if [[ $engine == watchtower ]]; then write_made_watchtower; else write_made_tidegate; fi
}

# shellcheck disable=SC2016 # the same
# The updater's command, with what its own has besides.
write_words() {
    local word
    printf '    command: ["--label-enable", "--scope", "${WATCHTOWER_SCOPE}"'
    for word in "${kept[@]}"; do
        case $word in
            [\"\']*) printf ', %s' "$word" ;;
            *) printf ", '%s'" "${word//\'/\'\'}" ;;
        esac
    done
    say ']'
}

# shellcheck disable=SC2016 # the same
# The agent's image takes the place of Watchtower's; an image of somebody's own stays, unless another is named.
write_agent_image() {
    if [[ -n $(env_value TIDEGATE_IMAGE "$stage/new/.env") ]]; then
        say '    image: ${TIDEGATE_IMAGE}'
    elif [[ $(own_image "$UPDATER") =~ (^|/)watchtower([:@]|$) ]]; then
        say "    image: \${TIDEGATE_IMAGE:-$AGENT_IMAGE}"
    fi
}

# shellcheck disable=SC2016 # the same
write_made_watchtower() {
    local network
    say '      WATCHTOWER_POLL_INTERVAL: ${WATCHTOWER_INTERVAL}'
    printf '      DOCKER_API_VERSION: ${WATCHTOWER_DOCKER_API_VERSION:-%s}\n' "$(api_version)"
    [[ -n $(env_value TIDEGATE_MANAGER "$stage/new/.env") ]] || return 0
    network=$(env_value TIDEGATE_NETWORK "$stage/new/.env")
    say '  agent:'
    say '    command: ["--label-enable", "--scope", "${WATCHTOWER_SCOPE}", "--interval", "${WATCHTOWER_INTERVAL}"]'
    write_token_label
    say '    volumes:'
    printf '      - %s:/var/lib/tidegate\n' "$(state_volume)"  # the same as with the other engine: who the agent is lies there
    [[ -z $network ]] || say '    networks: [manager]'
    printf 'volumes:\n  %s:\n' "$(state_volume)"
    [[ -z $network ]] || printf 'networks:\n  manager:\n    name: ${TIDEGATE_NETWORK}\n    external: true\n'
}

# What Watchtower speaks where .env does not say: no version is taken by Docker 29 and by 20.10 alike. Told anew at each run, so
# that it fits an engine that is another by then.
api_version() {
    local oldest newest
    read -r oldest newest < <(engine_takes) || true
    printf '%s\n' "$API_TRIED" ${newest:+"$oldest"} | sort -V | tail -n 1
}

# The files that are gone back to may be from before the engine was upgraded.
renew_api_version() {
    sed -i -E 's/^( *DOCKER_API_VERSION: \$\{WATCHTOWER_DOCKER_API_VERSION:-)[0-9.]+\}$/\1'"$(api_version)}/" "$stage/new/$MADE"
}

# The volume of the agent's state. An earlier version of this script left the agent beside Watchtower one of its own, which
# a cluster keeps that has it.
state_volume() {
    if { grep -qs '^  agent:' "$dir/$MADE" && ! grep -q ' state:/var/lib/tidegate' "$dir/$MADE"; } ||
        grep -qs ' agent-state:/var/lib/tidegate' "$dir/$MADE"; then
        say agent-state
    else
        say state
    fi
}

# shellcheck disable=SC2016 # the same
write_made_tidegate() {
    local managed network name
    managed=$(env_value TIDEGATE_MANAGER "$stage/new/.env")
    network=$(env_value TIDEGATE_NETWORK "$stage/new/.env")
    say '      WATCHTOWER_INTERVAL: ${WATCHTOWER_INTERVAL}'
    for name in WATCHTOWER_POLL_INTERVAL TIDEGATE_INTERVAL; do  # one that the cluster's own files set would win
        [[ -z $(own_env "$name") ]] || printf '      %s: ${WATCHTOWER_INTERVAL}\n' "$name"
    done
    [[ -z $managed ]] || write_made_manager
    say '    stop_grace_period: 1m  # an update that has begun is brought to rest first'
    say '    volumes:'
    printf '      - %s:/var/lib/tidegate\n' "$(state_volume)"
    [[ -z $managed || -z $network ]] || say '    networks: [manager]'  # beside those of the base file
    printf 'volumes:\n  %s:\n' "$(state_volume)"
    [[ -z $managed || ! -f $stage/new/$TOKEN ]] || printf 'secrets:\n  enrol-token:\n    file: ./%s\n' "$TOKEN"
    [[ -z $managed || -z $network ]] || printf 'networks:\n  manager:\n    name: ${TIDEGATE_NETWORK}\n    external: true\n'
}

# shellcheck disable=SC2016 # the same
write_made_manager() {
    say '      TIDEGATE_MANAGER: ${TIDEGATE_MANAGER}'
    say '      TIDEGATE_AGENT_NAME: ${TIDEGATE_AGENT_NAME}'
    [[ -f $stage/new/$TOKEN ]] || return 0
    say '      TIDEGATE_ENROL_TOKEN_FILE: /run/secrets/enrol-token'
    say '    secrets: [enrol-token]'
    write_token_label
}

# Another token has to reach the container, which would keep the file that it has.
write_token_label() {
    [[ -f $stage/new/$TOKEN ]] || return 0
    say '    labels:'
    say "      autonomy.enrol-token: \"$(sha256sum <"$stage/new/$TOKEN" | cut -c 1-12)\""
}

# --- checkpoints ---

checkpoints() {
    local one
    for one in "$dir"/.tidegate/checkpoints/*/files; do [[ ! -f $one ]] || basename "$(dirname "$one")"; done
}

in_git() { [[ $(git -C "$dir" rev-parse --is-inside-work-tree 2>/dev/null) == true ]]; }

# Keeps the files as they are now; its name is in `checkpoint`. What may hold a secret is never given to git.
make_checkpoint() {
    local top=$dir/.tidegate/checkpoints file number=1 stamp
    stamp=$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -p "$top"
    checkpoint=$stamp
    while [[ -e $top/$checkpoint ]] || git_name "$checkpoint" >/dev/null; do checkpoint=$stamp-$((++number)); done
    rm -rf "$top/.making" && mkdir "$top/.making"
    for file in "${FILES[@]}"; do
        [[ ! -f $dir/$file ]] || cat -- "$dir/$file" >"$top/.making/$file"
    done
    if [[ ! -f $dir/$BASE ]]; then
        say none >"$top/.making/files"
    elif in_git && ! ignored_by_git; then
        commit_files "$checkpoint" "$top/.making"
        say git >"$top/.making/files"
    else
        say here >"$top/.making/files"
    fi
    find "$top/.making" -type f -exec sync {} +
    mv -T "$top/.making" "$top/$checkpoint"
}

# What somebody keeps from git is not to get into it: passwords may be in it.
ignored_by_git() {
    local code=0
    git -C "$dir" check-ignore -- "${COMPOSE_FILES[@]}" >/dev/null 2>&1 || code=$?
    ((code != 1))  # 1: none is
}

# git_name CHECKPOINT: what it is called in git. A tag, as an earlier version of this script made, leaves with `git push --tags`.
git_name() {
    local ref
    for ref in "$REFS/$1" "refs/tags/tidegate-checkpoint-$1"; do
        git -C "$dir" rev-parse -q --verify "$ref" >/dev/null 2>&1 && say "$ref" && return 0  # alone, in a trap it would be the status of what came before that
    done
    return 1
}

# commit_files CHECKPOINT FOLDER: its Compose files as a commit beside the branch, with an index of its own. A copy stays in
# the folder: git writes nothing through to the disk, and what only one name holds is gone when somebody removes that.
commit_files() (
    local prefix file blob parent=()
    prefix=$(git -C "$dir" rev-parse --show-prefix)
    cd "$(git -C "$dir" rev-parse --show-toplevel)"
    export GIT_INDEX_FILE=$stage/index
    export GIT_AUTHOR_NAME=Tidegate GIT_AUTHOR_EMAIL=tidegate@localhost GIT_COMMITTER_NAME=Tidegate GIT_COMMITTER_EMAIL=tidegate@localhost
    if git rev-parse -q --verify HEAD >/dev/null; then parent=(-p "$(git rev-parse HEAD)") && git read-tree HEAD; fi
    for file in "${COMPOSE_FILES[@]}"; do
        if [[ -f $2/$file ]]; then
            blob=$(git hash-object -w --no-filters -- "$2/$file")
            git update-index --add --cacheinfo "100644,$blob,$prefix$file"
        else
            git update-index --force-remove -- "$prefix$file"
        fi
    done
    git update-ref "$REFS/$1" "$(git commit-tree "$(git write-tree)" "${parent[@]}" -m "Checkpoint of ${prefix:-./} at $1")"
    rm -f "$GIT_INDEX_FILE"
)

# Keeps a person's `git add` from taking what may hold secrets.
keep_out_of_git() {
    in_git || return 0
    local prefix exclude name
    prefix=$(git -C "$dir" rev-parse --show-prefix)
    exclude=$(cd "$dir" && realpath -m "$(git rev-parse --git-path info/exclude)")
    mkdir -p "$(dirname "$exclude")"
    for name in "${PRIVATE_FILES[@]}" .tidegate/; do
        git -C "$dir" check-ignore -q "$name" || grep -qsxF "/$prefix$name" "$exclude" || say "/$prefix$name" >>"$exclude"
    done
}

# files_of CHECKPOINT: its files, in `$stage/new`. Whoever calls this puts them in place, so it fails unless all are there:
# its callers use `||`, in which bash ends nothing by itself.
files_of() {
    local top=$dir/.tidegate/checkpoints/$1 file kind
    { rm -rf "$stage/new" && mkdir -p "$stage/new"; } || return
    kind=$(cat "$top/files" 2>/dev/null) || { complain "the checkpoint $1 is not in $dir/.tidegate/checkpoints any more" && return 1; }
    for file in "${FILES[@]}"; do
        [[ ! -f $top/$file ]] || cat -- "$top/$file" >"$stage/new/$file" || return
    done
    [[ $kind != git || -f $top/$BASE ]] || files_of_git "$1" || return
    [[ $kind == none || -s $stage/new/$BASE ]] || { complain "the checkpoint $1 has no $BASE: somebody took it from $top" && return 1; }
}

# files_of_git CHECKPOINT: its Compose files, where the folder has no copy of them
files_of_git() {
    local file ref
    ref=$(git_name "$1") || { complain "the Compose files of the checkpoint $1 are neither in $dir/.tidegate/checkpoints nor in git" && return 1; }
    for file in "${COMPOSE_FILES[@]}"; do
        git -C "$dir" cat-file -e "$ref:./$file" 2>/dev/null || continue
        git -C "$dir" cat-file blob "$ref:./$file" >"$stage/new/$file" || return
    done
}

drop_checkpoint() {
    local ref
    ! ref=$(git_name "$1") || git -C "$dir" update-ref -d "$ref" || true
    rm -rf "$dir/.tidegate/checkpoints/$1"
}

# Only when nothing is under way: what a run that was cut off has to put back is never among those that go.
drop_old_checkpoints() {
    local name
    [[ ! -f $dir/.tidegate/in-progress ]] || return 0
    while IFS= read -r name; do drop_checkpoint "$name"; done < <(checkpoints | head -n "-$KEPT")
}

# --- changing files and containers ---

changed_files() {
    local file
    for file in "${FILES[@]}"; do
        cmp -s "$dir/$file" "$stage/new/$file" || [[ ! -e $dir/$file && ! -e $stage/new/$file ]] || say "$file"
    done
}

# No signal ends it halfway; after a kill, `.tidegate/in-progress` tells the next run what to put back.
switch_files() {
    trap '' INT TERM HUP PIPE
    local file failed=0
    while IFS= read -r file; do
        if [[ -L $dir/$file ]]; then
            complain "$dir/$file has become a link, and is left as it is: make it a file of the folder's own ('$(unlinking "$dir/$file")')"
            failed=1
        elif [[ -e $stage/new/$file ]]; then
            set_mode "$file"
            { sync "$stage/new/$file" && mv -fT "$stage/new/$file" "$dir/$file"; } || failed=1
        else
            rm -f -- "$dir/$file" || failed=1
        fi
    done < <(changed_files)
    sync "$dir" || failed=1
    lock_down
    [[ -n $deaf ]] || hear_signals
    return "$failed"
}

# A Compose file stays as readable as it was; what may hold a secret is for its owner only.
set_mode() {
    case $1 in .env | "$TOKEN" | "$API_TOKEN") chmod 600 "$stage/new/$1" ;; *) chmod 644 "$stage/new/$1" ;; esac
    [[ -e $dir/$1 ]] || return 0
    chown --reference="$dir/$1" "$stage/new/$1" 2>/dev/null || true  # only root may
    case $1 in .env | "$TOKEN" | "$API_TOKEN") ;; *) chmod --reference="$dir/$1" "$stage/new/$1" ;; esac
}

lock_down() {
    local file
    for file in "${PRIVATE_FILES[@]}"; do
        [[ ! -f $dir/$file || $(stat -L -c %a "$dir/$file") == 600 ]] || { chmod 600 "$dir/$file" && say "$file is now for its owner only (mode 600)"; }
    done
}

# The note has a line each for checkpoint, project, and the services whose containers this run is the first to make.
begin_change() {
    printf '%s\n' "$1" "$project" "$added" >"$stage/in-progress"
    sync "$stage/in-progress"
    changing=$1  # before it is noted, or a signal right after would leave the note
    mv -fT "$stage/in-progress" "$dir/.tidegate/in-progress"
}

end_change() {
    changing=''
    rm -f "$dir/.tidegate/in-progress" "$dir/.tidegate/unsettled"
}

# Compares the services of the new files with those of the old ones: `$stage/services` are those to be made or replaced.
compare_services() {
    warned with_files "$stage/new" config --hash '*' | sort >"$stage/hashes"
    local readable=yes
    : >"$stage/hashes.old"
    [[ ! -f $dir/$BASE ]] || { with_files "$dir" config --hash '*' 2>/dev/null | sort >"$stage/hashes.old"; } || { readable='' && : >"$stage/hashes.old"; }
    cut -d ' ' -f 1 "$stage/hashes" | sort >"$stage/names"
    cut -d ' ' -f 1 "$stage/hashes.old" | sort >"$stage/names.old"
    added=${readable:+$(comm -23 "$stage/names" "$stage/names.old")}
    gone=$(comm -13 "$stage/names" "$stage/names.old")
    if [[ -n $unknown ]]; then
        cp "$stage/names" "$stage/services"
    else
        comm -23 "$stage/hashes" "$stage/hashes.old" | cut -d ' ' -f 1 >"$stage/services"
    fi
}

# bring_up_in_turn SERVICES-FILE: what is to be replaced, then whatever does not run. Not in one go: Compose
# would replace the containers of services that depend on one that is replaced, too.
bring_up_in_turn() {
    local services=()
    mapfile -t services <"$1"
    find_up_files
    if ((${#services[@]})); then bring_up "${services[@]}" || return; fi
    bring_up --no-recreate
}

# come_up WORDS...: brings the cluster up by these, and sees that what updates it stays up
come_up() {
    local service
    if ! "$@"; then
        tell_ended
        tell_down
        return 1
    fi
    for service in $(updaters); do
        if ! stays_up "$service"; then
            tell_last_words "$service"
            return 1
        fi
    done
}

# The services that update the cluster.
updaters() {
    local service
    while IFS= read -r service; do
        case $service in "$UPDATER") say "$service" ;; agent) [[ $engine == tidegate ]] || say "$service" ;; esac
    done <"$stage/names"
}

# stays_up SERVICE: whether it runs as long as --settle says without a new start. `up --wait` takes a moment for enough, which
# one has, too, that ends each time.
stays_up() {
    local before now age since until=$((SECONDS + given[deadline]))
    before=$(runs_of "$1")
    age=$(age_of "$before")
    since=$((SECONDS - age))
    while now=$(runs_of "$1"); do
        [[ $now == *' running '* && $now != *' restarting '* ]] || return 1
        if [[ $now != "$before" ]]; then
            [[ $(cut -d ' ' -f 1 <<<"$now") != "$(cut -d ' ' -f 1 <<<"$before")" ]] && ((SECONDS < until)) || return 1
            before=$now since=$SECONDS  # another container: an agent that has updated itself
        fi
        ((SECONDS - since <= given[settle])) || return 0
        sleep 0.3
    done
}

# runs_of SERVICE: a line for each of its containers, with its id, its state and when it was started
runs_of() {
    local ids
    mapfile -t ids < <(containers_of "$1")
    ((${#ids[@]} == 0)) || docker container inspect --format '{{.Id}} {{.State.Status}} {{.State.StartedAt}}' "${ids[@]}" 2>/dev/null || true
}

# containers_of SERVICE WORDS...: its containers, but those of `compose run`
containers_of() { containers --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False "${@:2}"; }

# age_of RUNS: seconds since the last of these starts, by the engine's clock
age_of() {
    local now start
    now=$(docker info --format '{{.SystemTime}}' 2>/dev/null) && now=$(date -d "$now" +%s 2>/dev/null) || now=0
    start=$(cut -d ' ' -f 3 <<<"$1" | sort | tail -n 1) && start=$(date -d "${start:-now}" +%s 2>/dev/null) || start=$now
    if ((now > start)); then say "$((now - start))"; else say 0; fi
}

tell_last_words() {
    local one
    know_secrets
    complain "$1 does not stay up. What it said last:"
    for one in $(containers_of "$1"); do docker logs --tail 20 "$one" 2>&1 | masked | sed 's/^/  /' >&2 || true; done
}

# Of what updates the cluster, where it does not run.
tell_down() {
    local service
    for service in $(updaters); do
        [[ $(runs_of "$service") == *' running '* ]] || [[ -z $(containers_of "$service") ]] || tell_last_words "$service"
    done
}

tell_ended() {
    local service
    while IFS= read -r service; do
        is_waited_for "$service" || complain "$service has ended with 0, which Compose takes for a failure: $(ending "$service")"
    done < <(docker ps -a --filter "label=com.docker.compose.project=$project" --filter status=exited --filter exited=0 \
        --filter label=com.docker.compose.oneoff=False --format '{{.Label "com.docker.compose.service"}}' | sort -u | grep -xF -f "$stage/names")
}

# ending SERVICE: what is to be done about one that ends by itself
ending() {
    printf 'if that is all that it has to do, have a service depend on it (depends_on: %s: condition: service_completed_successfully); ' "$1"
    printf 'if it is to run on, start it, and give it a restart policy'
}

# is_waited_for SERVICE: whether another one waits until it has ended
is_waited_for() {
    awk -v one="      $1:" '
        $0 == "        condition: service_completed_successfully" && before == one { found = 1 }
        { before = $0 }
        END { exit !found }' "$stage/config"
}

# Puts the new files in place and the cluster on them. Whatever ends this before its end has `put_back` run.
change() {
    ran=$(containers)
    find_new
    make_checkpoint
    begin_change "$checkpoint"
    switch_files
    know_secrets  # they have another place now
    say "bringing up $(paste -sd ' ' "$stage/services"), healthy within ${given[deadline]} s"
    come_up bring_up_in_turn "$stage/services" || exit "$FAILED"
    clear_away "$gone" || exit "$FAILED"
    note_place
    end_change
    drop_old_checkpoints
}

# Leaves in `added` only what has no container yet: what ran before is not this run's to remove again.
find_new() {
    local service found=''
    for service in $added; do
        [[ -n $(containers --filter "label=com.docker.compose.service=$service") ]] || found+="${found:+ }$service"
    done
    added=$found
}

# clear_away SERVICES: removes their containers, and nothing else that has the project's name
clear_away() {
    local service found one ids=()
    for service in $1; do
        found=$(containers_of "$service") || return
        for one in $found; do ids+=("$one"); done
    done
    ((${#ids[@]})) || return 0
    attended docker stop "${ids[@]}" && attended docker rm "${ids[@]}"
}

put_back() {
    local name=$changing
    deaf=yes
    complain "it failed, or was interrupted: the previous files are put back, and the cluster as it was; please wait"
    files_of "$name" || return
    if [[ -z $ran ]]; then
        attended take_down || return
        switch_files || return
    elif [[ ! -f $stage/new/$BASE ]]; then  # what ran is of no file that was here
        clear_away "$added" || return
        switch_files || return
    else
        clear_away "$added" || return
        switch_files || return
        comm -12 "$stage/services" "$stage/names.old" >"$stage/services.old"
        bring_up_in_turn "$stage/services.old" || return
    fi
    end_change
    drop_checkpoint "$name"
    complain "done: files and containers are as before"
}

could_not_put_back() {
    complain "it could not be put back, see above. The earlier files are the checkpoint $changing in $dir/.tidegate/checkpoints;"
    complain "when what is in the way is gone, run this again: it begins with putting them back"
}

# What there is to go back to cannot be had: only a person knows which files are right.
by_hand() {
    complain "so nothing was put back, and nothing touched. If it can be had again (make room, take it from a backup), do that and run this again."
    complain "If not, by hand: see that $BASE and .env in $dir are what they are to be; then 'mv $dir/.tidegate/in-progress $dir/.tidegate/unsettled', and run this again"
    exit "$BROKEN"
}

# After a run that was killed: the files of its checkpoint first. What it did to containers is settled by the next change.
recover() {
    local name
    if [[ -f $dir/.tidegate/in-progress ]]; then
        { read -r name && read -r project && { read -r added || true; }; } <"$dir/.tidegate/in-progress"
        say "an earlier run was cut off; the files of its checkpoint $name are put back first"
        files_of "$name" || by_hand
        switch_files || { complain "the files of the checkpoint $name could not be put into $dir; see above, and run this again" && exit "$BROKEN"; }
        clear_away "$added" || { complain "the containers of $added, which that run has started, could not be removed; see above, and run this again" && exit "$BROKEN"; }
        mv -fT "$dir/.tidegate/in-progress" "$dir/.tidegate/unsettled"
        rm -rf "$stage/new"
    fi
    [[ ! -f $dir/.tidegate/unsettled ]] || unknown=yes
}

# --- commands ---

apply() {
    check_host
    check_folder
    refuse_problems
    open_folder
    is dry-run || recover
    settle_settings
    make_files
    check_all
    show_changes
    ! is dry-run || return 0
    keep_out_of_git
    carry_out
}

check_all() {
    know_secrets
    check_links
    check_services
    refuse_problems
    settle_project
    compare_services
    check_names
    check_ending
    check_networks
    check_ports
    check_manager
    check_api_version
    refuse_problems
    check_images
    refuse_problems
}

carry_out() {
    if [[ -z $(changed_files) && -z $unknown ]]; then as_it_is && return; fi
    change
    say "done: $project follows $(env_value ORCHESTRATOR_IMAGE "$dir/.env"), updated by $engine; the earlier files are the checkpoint $checkpoint"
}

as_it_is() {
    local before after
    lock_down
    before=$(containers --filter status=running)
    find_up_files
    come_up bring_up --no-recreate || { complain "the files are as they are to be, but the cluster does not come up; see above" && exit "$FAILED"; }
    after=$(containers --filter status=running)
    note_place
    if [[ $before == "$after" ]]; then say "nothing to change: $project runs as it is to"; else say "the files needed no change; what did not run of $project was started"; fi
}

settle_project() {
    local former
    warned with_files "$stage/new" config >"$stage/config"
    project=$(sed -n 's/^name: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$stage/config")
    former=$(cat "$dir/.tidegate/project" 2>/dev/null || true)
    [[ -z $former || $former == "$project" ]] ||
        refuse "the cluster in $dir is the project $former, and would become $project: remove it first, or take another --dir"
    [[ -n $former ]] || unknown=yes
    refuse_others
}

# Refuses a project that has containers of another folder; `moved` are the names by which this one went. A container without
# the label says nothing of its folder.
refuse_others() {
    local folder found
    moved=()
    found=$(made_from) || refuse "the engine does not tell which containers $project has"
    while IFS= read -r folder; do
        [[ -n $folder ]] || continue
        if [[ $(realpath -m -- "$folder") != "$dir" ]]; then
            if [[ -e $folder ]] || ! was_here "$folder"; then refuse "$(others "$folder")"; fi
            was_here "$dir" || unknown=yes  # what it has of files in the folder lies elsewhere now
        fi
        moved+=("$folder")
    done <<<"$found"
}

# The folders that the project's containers were made from, a line each.
made_from() {
    docker ps -a --filter "label=com.docker.compose.project=$project" --format '{{.Label "com.docker.compose.project.working_dir"}}' | sort -u
}

# was_here FOLDER: whether that is where this folder is, or was, when the cluster was brought up
was_here() { grep -qsxF -- "$1" "$dir/.tidegate/places"; }

# others FOLDER: what is to be done about it
others() {
    printf 'the project %s has containers that were made from %s, and this is %s: ' "$project" "$1" "$dir"
    if [[ -e $1 ]]; then
        printf 'take another name (--project NAME), or name that folder (--dir %q)' "$1"
    else
        printf "that is not there any more. If it was moved to here, say so by '%s' and run this again; if not, take another name (--project NAME)" \
            "$(printf 'ln -s %q %q' "$dir" "$1")"
    fi
    printf '. To have them gone, but not their volumes: docker compose -p %s down' "$project"
}

# Notes what the cluster is called, and where it is.
note_place() {
    local place
    say "$project" | cmp -s - "$dir/.tidegate/project" || say "$project" >"$dir/.tidegate/project"
    for place in "$dir" "${moved[@]}"; do was_here "$place" || say "$place" >>"$dir/.tidegate/places"; done
}

show_changes() {
    local file service
    if is dry-run && [[ -f $dir/.tidegate/in-progress ]]; then
        say "an earlier run was cut off; a run that is no dry one would put back its checkpoint $(head -n 1 "$dir/.tidegate/in-progress") first"
    fi
    while IFS= read -r file; do
        if is dry-run; then show_file "$file"; else say "changed: $file"; fi
    done < <(changed_files)
    is dry-run || { show_gone 'will remove' && return; }
    [[ -n $(changed_files)$unknown ]] || { say "nothing would change" && return; }
    while IFS= read -r service; do say "would make or replace the container of $service"; done <"$stage/services"
    show_gone 'would remove'
}

show_gone() { [[ -z $gone ]] || say "$1 the containers of ${gone//$'\n'/ }, which the new files do not have"; }

# show_file NAME: how it would change. What may be secret is taken out of both before they are compared: a diff has lines
# from the middle, of which nobody can tell what they are.
show_file() {
    local before after
    before=$(or_nothing "$dir/$1") after=$(or_nothing "$stage/new/$1")
    case $1 in
        "$TOKEN" | "$API_TOKEN") say "--- $1 is another (not shown)" && return ;;
        .env) env_shown "$before" "$before" >"$stage/before" && env_shown "$before" "$after" >"$stage/after" ;;
        *) compose_shown "$before" >"$stage/before" && compose_shown "$after" >"$stage/after" ;;
    esac
    diff -u -L "$1, now" -L "$1, then" "$stage/before" "$stage/after" | masked || true
}

# env_shown EARLIER FILE: a line for each entry, with the value only where it is this script that writes it
env_shown() {
    awk -v written=" ${WRITTEN[*]} ${settings[*]%%=*} " "$ENTRIES"'
        function tell() {
            if (part == 1) earlier[name] = value
            else if (index(written, " " name " ") && (value !~ /@/ || value ~ /@sha256:/)) print name "=" value
            else print name "=***" (name in earlier && earlier[name] != value ? " (another)" : "")
        }
        FNR == 1 { quote = "" }
        entry($0) { tell() }
        END { if (quote != "") tell() }' part=1 "$1" part=2 "$2"
}

# compose_shown FILE: without the values of what is named as a secret is, and without accounts in addresses
compose_shown() {
    awk -v names="$SECRET_NAME" '
        BEGIN { named = "[A-Z0-9_.-]*(" names ")[A-Z0-9_.-]*[\"\047]?[ \t]*[:=]"; under = bare = -1 }
        function cut(line,    from, at, name) {
            for (from = 1; match(toupper(substr(line, from)), named); from = at) {
                at = from + RSTART + RLENGTH - 1
                name = toupper(substr(line, from + RSTART - 1, RLENGTH))
                if (name ~ /_FILE["\047]?[ \t]*[:=]$/ || substr(line, at) !~ /[^ \t]/) continue
                return substr(line, 1, at - 1) (name ~ /:$/ ? " " : "") "***"
            }
            return line
        }
        {
            match($0, /^ */); indent = RLENGTH
            if (under >= 0 && ($0 ~ /^ *$/ || indent > under)) next  # more of the value that is not shown
            if (bare >= 0 && indent > bare && $0 !~ /^ *(- |#|[^ :]+:( |$))/) next  # the value, on a line of its own
            line = cut($0); under = (line == $0) ? -1 : indent
            bare = (toupper(line) ~ named "[ \t]*$") ? indent : -1
            gsub(/:\/\/[^\/@ ]*:[^\/@ ]*@/, "://***@", line); print line
        }' "$1"
}

or_nothing() { if [[ -f $1 ]]; then say "$1"; else say /dev/null; fi; }

status() {
    [[ -f $dir/.env && -f $dir/.tidegate/project ]] || refuse "there is no cluster of this script in $dir; make one, or name its folder with --dir"
    check_host
    refuse_problems
    local running
    project=$(cat "$dir/.tidegate/project")
    running=$(containers --filter "label=com.docker.compose.service=$UPDATER" --filter status=running)
    running=${running:+runs}
    printf '%-10s %s\n' folder "$dir" project "$project" engine "$(engine_of "$dir")" channel "$(env_value ORCHESTRATOR_IMAGE "$dir/.env")" \
        scope "$(env_value WATCHTOWER_SCOPE "$dir/.env")" interval "$(env_value WATCHTOWER_INTERVAL "$dir/.env") s" \
        manager "$(manager_shown)" updater "${running:-does not run}"
    docker ps -a --filter "label=com.docker.compose.project=$project" --format '{{.Label "com.docker.compose.service"}}: {{.Status}}' | sort | sed 's/^/  /'
    [[ ! -f $dir/.tidegate/in-progress ]] || say "a run was cut off, or is at work: run apply again to have it put right"
}

manager_shown() {
    local url
    url=$(env_value TIDEGATE_MANAGER "$dir/.env")
    without_account "${url:-none}"
}

list() {
    local name
    for name in $(checkpoints); do
        if [[ $(cat "$dir/.tidegate/checkpoints/$name/files") == none ]]; then say "$name (before there was a cluster)"; else say "$name"; fi
    done
}

restore() {
    local name=${words[1]:-}
    check_host
    check_folder
    refuse_problems
    need_cluster
    open_folder
    is dry-run || recover
    name=${name:-$(list | grep -v ' ' | tail -n 1 || true)}
    name=${name##*/} && name=${name#tidegate-checkpoint-}
    [[ $name =~ ^[0-9TZ-]+$ && -f $dir/.tidegate/checkpoints/$name/files ]] || refuse "there is no checkpoint '$name'; list shows those that there are"
    files_of "$name" || exit "$REFUSED"
    restored=$dir/.tidegate/checkpoints/$name/.env
    [[ -f $stage/new/$BASE ]] || refuse "the checkpoint $name is from before there was a cluster: use remove"
    engine=$(engine_of "$stage/new")
    [[ $engine == tidegate || ! -f $stage/new/$MADE ]] || renew_api_version
    check_all
    show_changes
    is dry-run || carry_out
}

need_cluster() {
    [[ -d $dir/.tidegate ]] || refuse "there is no cluster of this script in $dir; make one, or name its folder with --dir"
}

remove() {
    local more=()
    check_host
    refuse_problems
    need_cluster
    ! is volumes || more=(--volumes)
    open_folder
    project=$(cat "$dir/.tidegate/project" 2>/dev/null || sed -n 2p "$dir/.tidegate/in-progress" 2>/dev/null ||
        sed -n 2p "$dir/.tidegate/unsettled" 2>/dev/null || true)
    [[ -z $project ]] || refuse_others
    if is dry-run; then would_remove "${more[@]}" && return; fi
    recover
    [[ -n $project ]] || refuse "there is no cluster of this script in $dir; name its folder with --dir"
    know_secrets
    attended take_down "${more[@]}" || { complain "$project could not be taken down, see above" && exit "$FAILED"; }
    rm -f "$dir"/.tidegate/{project,places,unsettled}
    say "done: $project is down${more[*]:+, its volumes are gone}; the files in $dir are kept"
}

would_remove() {
    say "would take down $project${1:+ and remove its volumes}; its containers are:"
    docker ps -a --filter "label=com.docker.compose.project=$project" --format '  {{.Names}}'
}

# --- around them ---

find_places() {
    local here one
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    dir=$(realpath -m "${given[dir]:-autonomy}")
    from=${given[from]:-}
    [[ -z $from || -d $from ]] || refuse "--from is $from, which is no folder"
    for one in "$here/../examples/autonomy" "$here/autonomy" "$here"; do
        [[ -n $from || ! -f $one/$BASE ]] || from=$(realpath "$one")
    done
}

# From here on nobody else changes the folder; of a dry run nothing stays.
open_folder() {
    command -v flock >/dev/null || refuse "there is no flock program, by which two runs at once are kept apart: install util-linux"
    if is dry-run; then
        [[ ! -f $dir/.tidegate/lock ]] || lock_by "$dir/.tidegate/lock"
        stage=$(mktemp -d)
    else
        (umask 022 && mkdir -p "$dir")
        mkdir -p "$dir/.tidegate" && chmod 700 "$dir/.tidegate"
        [[ -f $dir/.tidegate/lock ]] || : >>"$dir/.tidegate/lock"
        lock_by "$dir/.tidegate/lock"
        stage=$dir/.tidegate/staging
        rm -rf "$stage" && mkdir "$stage"
    fi
    know_secrets
}

lock_by() {
    exec 9<"$1"
    flock -n 9 || { complain "another run is at work in $dir: wait until it is done" && exit "$BUSY"; }
}

hear_signals() {
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM HUP
    case $command in list | status) ;; *) trap 'interrupted 141' PIPE ;; esac  # nobody reads any more; of those there is nothing to put back
}

interrupted() {
    trap '' PIPE
    [[ -z $child ]] || { kill -TERM "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; }
    complain "interrupted"
    exit "$1"
}

at_exit() {
    local code=$?
    trap '' INT TERM HUP PIPE
    trap - EXIT
    set +e
    if [[ -n $changing ]] && ! put_back; then could_not_put_back && code=$BROKEN; fi
    [[ -z $stage ]] || rm -rf "$stage"
    exit "$code"
}

main() {
    umask 077
    ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || refuse "this is bash $BASH_VERSION; it has to be 4.4 or newer"
    parse "$@"
    [[ $command != help ]] || { usage && return; }
    forget_environment
    find_places
    check deadline "${given[deadline]:=300}" '[1-9][0-9]{0,5}' 'seconds, more than none'
    check settle "${given[settle]:=10}" '[1-9][0-9]{0,3}' 'seconds, more than none'
    check min-free "${given[min-free]:=1024}" '0|[1-9][0-9]{0,8}' 'megabytes'
    trap at_exit EXIT
    hear_signals
    "$command"
}

main "$@"
