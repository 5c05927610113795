// SPDX-License-Identifier: Apache-2.0
// The scripts of zsh and fish, see completion.h: like bash's they ask this program what could come
// next.
#include "completion.h"

namespace sluice::cli {

std::string zsh_completion() {
    return R"(#compdef sluice
# zsh completion for sluice; put it as _sluice into a folder of $fpath, or: source <(sluice completion zsh)
_sluice() {
    local line
    local -a offered
    for line in "${(@f)$(${words[1]} completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            :files) _files ;;
            ?*) offered+=("$line") ;;
        esac
    done
    (( $#offered )) && compadd -- "${offered[@]}"
}
if [ "$funcstack[1]" = "_sluice" ]; then
    _sluice "$@"
else
    compdef _sluice sluice
fi
)";
}

std::string fish_completion() {
    return R"(# fish completion for sluice; put it into ~/.config/fish/completions/sluice.fish
function __sluice_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] completion words -- $words[2..-1] 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c sluice -f -a '(__sluice_complete)'
)";
}

}  // namespace sluice::cli
