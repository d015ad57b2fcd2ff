package appengine

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// entry is one file or folder of an upload, and where its bytes are.
type entry struct {
	path       string // in the transfer
	kind       pb.EntryKind
	size       int64
	executable bool

	local   string // the file, unless the bytes are in memory
	content []byte
	facts   os.FileInfo // of the local file when it was listed
}

func (e *entry) message(index int) *pb.Entry {
	made := &pb.Entry{Index: int64(index), Path: e.path, Kind: e.kind, SizeBytes: e.size}
	if e.executable {
		made.Mode = 0o755
	}
	return made
}

// hasChanged compares the file with what it was when it was listed.
func (e *entry) hasChanged(facts os.FileInfo) bool {
	return !os.SameFile(facts, e.facts) || facts.Size() != e.size ||
		!facts.ModTime().Equal(e.facts.ModTime())
}

func inMemory(path string, content []byte) entry {
	return entry{
		path: path, kind: pb.EntryKind_ENTRY_KIND_FILE, size: int64(len(content)), content: content,
	}
}

// listed is a file, or a folder with all that is in it, under the path that it has in the transfer.
// Links are followed, for a person handed them over.
func listed(path, local string) ([]entry, error) {
	return listedBelow(path, local, nil)
}

func listedBelow(path, local string, above []os.FileInfo) ([]entry, error) {
	facts, err := os.Stat(local)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be sent: %w", local, err)
	}
	if !utf8.ValidString(path) {
		return nil, fmt.Errorf("%q has a name that is not UTF-8 and cannot be sent", local)
	}
	switch {
	case facts.Mode().IsRegular():
		return []entry{{
			path: path, kind: pb.EntryKind_ENTRY_KIND_FILE, size: facts.Size(),
			executable: facts.Mode()&0o100 != 0, local: local, facts: facts,
		}}, nil
	case facts.IsDir():
		return listedFolder(path, local, facts, above)
	default:
		return nil, fmt.Errorf("%s is neither a file nor a folder and cannot be sent", local)
	}
}

func listedFolder(path, local string, facts os.FileInfo, above []os.FileInfo) ([]entry, error) {
	for _, one := range above {
		if os.SameFile(one, facts) {
			return nil, fmt.Errorf("%s is a link to a folder that holds it", local)
		}
	}
	inside, err := os.ReadDir(local) // in the order of their names
	if err != nil {
		return nil, fmt.Errorf("%s cannot be sent: %w", local, err)
	}
	found := []entry{{path: path, kind: pb.EntryKind_ENTRY_KIND_FOLDER}}
	for _, one := range inside {
		more, err := listedBelow(path+"/"+one.Name(), filepath.Join(local, one.Name()), append(above, facts))
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// Progress is how far a transfer is.
type Progress struct {
	DoneBytes, TotalBytes int64
	DoneFiles, TotalFiles int64
	// WaitingBecause says why nothing moves at the moment; nil while it does.
	WaitingBecause error
}

// TransferOptions say how a transfer is made.
type TransferOptions struct {
	// OnProgress is called after each chunk.
	OnProgress func(Progress)
	// RequestID makes an upload one that a later process can go on with: the same UUID, with the
	// same files, continues where the last one was killed.
	RequestID string
	// Stall is how long to try again without any progress; 2 minutes if it is 0.
	Stall time.Duration
}

func (o TransferOptions) patience() *patience {
	if o.Stall == 0 {
		return &patience{stall: 2 * time.Minute}
	}
	return &patience{stall: o.Stall}
}
