# shellcheck shell=bash
# Java and Maven, from the PATH or Debian's packages.

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

_JAVA_RELEASE=17

# Has a Java compiler and Maven, or says what is missing.
ensure_java() {
    _java_is_new_enough && have mvn && return
    can_install || { say "Java $_JAVA_RELEASE and Maven are missing: install a JDK and maven."; return 1; }
    quietly "Installing Java and Maven" with_lock java apt_install default-jdk-headless maven &&
        _java_is_new_enough
}

_java_is_new_enough() {
    local version
    version=$(javac -version 2>&1) || return
    [[ $version =~ ^javac\ ([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$_JAVA_RELEASE" ]
}

# Maven, which downloads what it needs into its own cache, once.
maven() { mvn --batch-mode --no-transfer-progress --quiet "$@"; }
