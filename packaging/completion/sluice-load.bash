# SPDX-License-Identifier: Apache-2.0
# Completion of sluice-load for bash: modes, then each mode's options as its --help lists them, then file names.
_sluice_load() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case $before in
    --proto) COMPREPLY=($(compgen -W "udp tcp" -- "$word")) ; return ;;
    --checksum) COMPREPLY=($(compgen -W "full partial none" -- "$word")) ; return ;;
    --size) COMPREPLY=($(compgen -W "64 128 256 512 1024 1280 1518 imix" -- "$word")) ; return ;;
    --a | --b) COMPREPLY=($(compgen -f -- "$word")) ; return ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "flood crr latency tso noise --help --version" -- "$word"))
        return
    fi
    local options
    options=$("${COMP_WORDS[0]}" "${COMP_WORDS[1]}" --help 2>/dev/null | grep -oE '^ +(-h,)?--[a-z-]+' | grep -oE -- '--[a-z-]+')
    COMPREPLY=($(compgen -W "$options" -- "$word"))
}
complete -F _sluice_load sluice-load
