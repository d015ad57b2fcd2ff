package appengine

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

const maxNameBytes = 255

// pathRules say which paths an incoming tree may have. They remember what is there, and need no file
// system.
type pathRules struct {
	kinds map[string]pb.EntryKind
}

// admit says whether the entry is new, or why it must not be written.
func (r *pathRules) admit(one *pb.Entry) (bool, error) {
	for _, name := range strings.Split(one.Path, "/") {
		if !isName(name) {
			return false, broken("the server sent the unsafe path %q", one.Path)
		}
	}
	if err := r.checkAbove(one.Path); err != nil {
		return false, err
	}
	if one.Kind == pb.EntryKind_ENTRY_KIND_LINK && !linkStaysInside(one.Path, one.LinkTarget) {
		return false, broken("the server sent the link %q, which leads to %q", one.Path, one.LinkTarget)
	}
	known, isThere := r.kinds[one.Path]
	if !isThere {
		r.kinds[one.Path] = one.Kind
		return true, nil
	}
	if known == pb.EntryKind_ENTRY_KIND_FOLDER && one.Kind == known {
		return false, nil
	}
	return false, broken("the server sent the path %q twice", one.Path)
}

// checkAbove wants folders above a path; those that were not listed are taken for such.
func (r *pathRules) checkAbove(inside string) error {
	for above := path.Dir(inside); above != "."; above = path.Dir(above) {
		known, isThere := r.kinds[above]
		if isThere && known != pb.EntryKind_ENTRY_KIND_FOLDER {
			return broken("the path %q goes through %q, no folder", inside, above)
		}
		r.kinds[above] = pb.EntryKind_ENTRY_KIND_FOLDER
	}
	return nil
}

func isName(name string) bool {
	return len(name) <= maxNameBytes && name != "" && name != "." && name != ".." &&
		!strings.Contains(name, "\x00") && utf8.ValidString(name)
}

// linkStaysInside says whether a link cannot lead out of the transfer, whatever the other links are.
// `..` is allowed only in front, and not beyond the top: every link then goes up from a real folder
// and down again, so that no chain of links gets out.
func linkStaysInside(link, target string) bool {
	if target == "" || strings.HasPrefix(target, "/") || strings.Contains(target, "\x00") {
		return false
	}
	parts := strings.Split(target, "/")
	ups := 0
	for ups < len(parts) && parts[ups] == ".." {
		ups++
	}
	return !slices.Contains(parts[ups:], "..") && ups <= strings.Count(link, "/")
}
