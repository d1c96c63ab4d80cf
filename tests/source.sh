# source_archive, for scripts that read the source of something that Debian packages. Sourced after examples/setup.sh, from the repository's root.
# This machine's apt sources are left as they are.

# source_archive FOLDER PACKAGE [SUITE]: prints the path of the source package's main archive, put into FOLDER: of the installed version where there is
# one, else of the newest that can be had, of SUITE if that is said.
source_archive() {
  command -v apt-get >/dev/null 2>&1 || return 1
  folder=$1 package=$2 suite=${3:-}
  mkdir -p "$folder/lists/partial" "$folder/parts"
  # The system's own entries, with sources: both of apt's ways of writing them.
  : >"$folder/sources.list"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >>"$folder/sources.list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] && sed -e 's/^Types:.*/Types: deb-src/' ${suite:+-e "s/^Suites:.*/Suites: $suite/"} "$file" >"$folder/parts/$(basename "$file")"
  done
  set -- -q -o "Dir::Etc::SourceList=$folder/sources.list" -o "Dir::Etc::SourceParts=$folder/parts" \
    -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache::srcpkgcache=" -o "Dir::Cache::pkgcache=" -o APT::Sandbox::User=root
  # One source that does not answer must not hide the others.
  apt-get "$@" update >&2 || say "not every source of packages answered"
  installed=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || :)
  # The newest may be listed and gone from the mirror: the installed one first, then whatever there is.
  listed=$(apt-cache "$@" showsrc --only-source "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -u -V -r)
  for candidate in $installed $listed; do
    # Of a package with several archives the main one may be there, and another one not.
    (cd "$folder" && apt-get "$@" source --download-only "$package=$candidate" >&2) || :
    for archive in "$folder/$package"_*.orig.tar.*; do
      [ -f "$archive" ] && echo "$archive" && return 0
    done
  done
  return 1
}
