package appengine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// parts is the folder in a download's target that holds what has come until all is there. One process
// at a time is in it, by a lock that ends with the process: what is in it while nobody has the lock, a
// killed one left.
type parts struct {
	folder string
	lock   *os.File // nil where nobody could go on with it
}

// takeParts gives the folder for this resource, or one of a new name where another process is in it.
func takeParts(target string, resource *pb.Resource) (*parts, error) {
	// In the target itself: it may be a mount, and only there a rename is atomic.
	if err := os.MkdirAll(target, 0o777); err != nil {
		return nil, fmt.Errorf("the folder cannot be made: %w", err)
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(resource)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(content)
	folder := filepath.Join(target, ".appengine-go-"+hex.EncodeToString(digest[:8])+".part")
	if err := os.Mkdir(folder, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("the folder cannot be written: %w", err)
	}
	if lock, err := lockFile(filepath.Join(folder, "lock")); err == nil {
		return &parts{folder, lock}, nil
	}
	os.Remove(folder) // if it is empty: there are no locks here
	if folder, err = os.MkdirTemp(target, ".appengine-go-*.incoming"); err != nil {
		return nil, fmt.Errorf("the folder cannot be written: %w", err)
	}
	return &parts{folder: folder}, nil
}

func (p *parts) fresh() string { return filepath.Join(p.folder, "new") }

// old is for what is replaced in the target.
func (p *parts) old() string { return filepath.Join(p.folder, "old") }

func (p *parts) notes() string { return filepath.Join(p.folder, "notes") }

// clear makes them empty.
func (p *parts) clear() error {
	for _, one := range []string{p.fresh(), p.old(), p.notes()} {
		if err := os.RemoveAll(one); err != nil {
			return unwritable(err)
		}
	}
	return unwritable(errors.Join(os.Mkdir(p.fresh(), 0o777), os.Mkdir(p.old(), 0o777)))
}

// leave lets others in, for whom the parts are kept, or else removed.
func (p *parts) leave(keep bool) {
	if !keep || p.lock == nil {
		os.RemoveAll(p.folder)
	}
	if p.lock != nil {
		p.lock.Close()
	}
}
