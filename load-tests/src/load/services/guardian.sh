# guardian.sh PIPE DIR: outlives the load test, and ends what the load test has started when that is gone, however it went
# (also by kill -9). What there is to end comes as lines through the named pipe; its end is the load test's end;
# what belongs together in a line is set apart by tabs.
#   kill PID START      the process PID, if it was started at START (field 22 of /proc/PID/stat)
#   down SCRIPT DIR     the services in DIR, by SCRIPT DIR
#   wake FILE           the process whose pid is in FILE may have been stopped, and goes on
# Then DIR is removed.
trap '' INT TERM HUP

processes=() services=() sleepers=()
while IFS=$'\t' read -r what first second; do
    case $what in
    kill) processes+=("$first $second") ;;
    down) services+=("$first"$'\t'"$second") ;;
    wake) sleepers+=("$first") ;;
    esac
done <"$1"

start_of() {
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    # After the name, which may hold blanks, in parentheses.
    read -ra fields <<<"${stat##*) }"
    echo "${fields[19]}"
}

for process in ${processes[@]+"${processes[@]}"}; do
    read -r pid start <<<"$process"
    [ "$(start_of "$pid")" != "$start" ] || kill -KILL "$pid" 2>/dev/null
done
for file in ${sleepers[@]+"${sleepers[@]}"}; do
    kill -CONT "$(cat "$file" 2>/dev/null)" 2>/dev/null
done
for service in ${services[@]+"${services[@]}"}; do
    IFS=$'\t' read -r script dir <<<"$service"
    # One that was stopped by a signal would not hear that it should end.
    while IFS= read -r pid_file; do
        kill -CONT "$(head -1 "$pid_file")" 2>/dev/null
    done < <(find "$dir" -name '*.pid' 2>/dev/null)
    bash "$script" "$dir" &
done
wait
rm -rf "$2"
