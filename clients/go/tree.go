package appengine

import (
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// treeWriter writes what is downloaded into an empty folder of ours. Nothing that the server says is
// trusted: paths stay inside, links lead nowhere else, no path goes through a link, and every
// checksum is tested before a place counts.
type treeWriter struct {
	folder    string
	at        place
	etag      string
	end       *place
	files     int
	rules     pathRules
	growing   *growing
	unended   map[int64]ended
	made      map[string]bool
	recalling bool // what is written is there already: it is read instead
}

// growing is the file whose content is arriving.
type growing struct {
	index int64
	path  string
	file  *os.File
	rest  int64
	crc   uint32
}

// ended is a file that has all its bytes, and whose checksum has not come yet.
type ended struct {
	path string
	crc  uint32
}

func newTreeWriter(folder string) *treeWriter {
	return &treeWriter{
		folder:  folder,
		rules:   pathRules{kinds: map[string]pb.EntryKind{}},
		unended: map[int64]ended{},
		made:    map[string]bool{},
	}
}

func (w *treeWriter) isComplete() bool { return w.end != nil && w.at == *w.end }

func (w *treeWriter) close() {
	if w.growing != nil {
		w.growing.file.Close()
		w.growing = nil
	}
}

// finish checks that every file has ended with its checksum.
func (w *treeWriter) finish() error {
	for _, left := range w.unended {
		return broken("the server did not end the file %q with its checksum", left.path)
	}
	return nil
}

// apply writes a message and moves the place.
func (w *treeWriter) apply(message *pb.DownloadResponse) error {
	if err := w.take(message.GetHeader()); err != nil {
		return err
	}
	chunk := message.GetChunk()
	if isEmpty(chunk) {
		return nil
	}
	if err := w.expect(chunk); err != nil {
		return err
	}
	if crc32.Checksum(chunk.Data, castagnoli) != chunk.Crc32C {
		return cut("a chunk of the download has a wrong checksum")
	}
	return w.write(chunk)
}

// recall takes over what a killed writer has noted of a message: its data are read from the folder, and
// must be what they were.
func (w *treeWriter) recall(message *pb.DownloadResponse, after place) error {
	if err := w.take(message.GetHeader()); err != nil {
		return err
	}
	chunk := message.GetChunk()
	if chunk == nil {
		return nil
	}
	if err := w.expect(chunk); err != nil {
		return err
	}
	length := after.bytes - w.at.bytes
	if length < 0 || length > maxMessageBytes {
		return broken("a note tells of a chunk of %d bytes", length)
	}
	chunk.Data = make([]byte, length)
	w.recalling = true
	defer func() { w.recalling = false }()
	if err := w.write(chunk); err != nil {
		return err
	}
	if crc32.Checksum(chunk.Data, castagnoli) != chunk.Crc32C {
		return broken("what lies there is not what was written")
	}
	return nil
}

// dropTheRest removes what was written and is not in the notes.
func (w *treeWriter) dropTheRest() error {
	if w.growing != nil {
		length, err := w.growing.file.Seek(0, io.SeekCurrent)
		if err == nil {
			err = w.growing.file.Truncate(length)
		}
		if err != nil {
			return unwritable(err)
		}
	}
	return unwritable(filepath.WalkDir(w.folder, func(local string, one fs.DirEntry, err error) error {
		if err != nil || local == w.folder {
			return err
		}
		inside, err := filepath.Rel(w.folder, local)
		if _, isKnown := w.rules.kinds[filepath.ToSlash(inside)]; err != nil || isKnown {
			return err
		}
		if err = os.RemoveAll(local); err == nil && one.IsDir() {
			err = fs.SkipDir
		}
		return err
	}))
}

// take notes what is downloaded.
func (w *treeWriter) take(header *pb.DownloadHeader) error {
	if header == nil {
		return nil
	}
	end := placeOf(header.GetEnd())
	if w.end != nil && (w.etag != header.GetEtag() || *w.end != end) {
		return broken("the content changed while it was downloaded: start again")
	}
	w.etag, w.end = header.GetEtag(), &end
	return nil
}

// expect wants the chunk to be the next one.
func (w *treeWriter) expect(chunk *pb.Chunk) error {
	if w.end == nil {
		return broken("the download begins without a header")
	}
	if at := placeOf(chunk.Place); at != w.at {
		return broken("the download goes on at %v, %v was expected", at, w.at)
	}
	return nil
}

// isEmpty says that a chunk holds nothing to write: it keeps the stream alive.
func isEmpty(chunk *pb.Chunk) bool {
	return len(chunk.GetEntries())+len(chunk.GetEnds())+len(chunk.GetData()) == 0
}

func (w *treeWriter) write(chunk *pb.Chunk) error {
	entries := w.at.entries
	rest, err := w.fill(chunk.Data)
	for _, one := range chunk.Entries {
		if err != nil {
			return err
		}
		if one.Index < entries {
			continue // sent again
		}
		if one.Index != entries {
			return broken("the server left out the entry %d", entries)
		}
		if w.growing != nil {
			return broken("%q begins before the file before it is whole", one.Path)
		}
		entries++
		if err = w.begin(one); err == nil {
			rest, err = w.fill(rest)
		}
	}
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return broken("the server sent bytes that belong to no file")
	}
	for _, end := range chunk.Ends {
		if left, known := w.unended[end.Index]; known {
			if left.crc != end.Crc32C {
				return broken("the file %q does not match its checksum", left.path)
			}
			delete(w.unended, end.Index)
		}
	}
	w.at = place{w.at.bytes + int64(len(chunk.Data)), entries}
	return nil
}

func (w *treeWriter) begin(one *pb.Entry) error {
	isNew, err := w.rules.admit(one)
	if err != nil || !isNew {
		return err
	}
	local := filepath.Join(w.folder, filepath.FromSlash(one.Path))
	if err := w.makeFolder(path.Dir(one.Path)); err != nil {
		return err
	}
	switch one.Kind {
	case pb.EntryKind_ENTRY_KIND_FOLDER:
		return w.makeFolder(one.Path)
	case pb.EntryKind_ENTRY_KIND_LINK:
		if w.recalling {
			return hasTarget(local, one.LinkTarget)
		}
		return unwritable(os.Symlink(one.LinkTarget, local))
	case pb.EntryKind_ENTRY_KIND_FILE:
		mode := os.FileMode(0o666)
		if one.Mode&0o111 != 0 {
			mode = 0o777
		}
		flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
		if w.recalling {
			flags = os.O_RDWR
		}
		file, err := os.OpenFile(local, flags, mode)
		if err != nil {
			return unwritable(err)
		}
		w.files++
		w.growing = &growing{index: one.Index, path: one.Path, file: file, rest: one.SizeBytes}
		return w.complete()
	default:
		return broken("%q is neither file nor folder nor link", one.Path)
	}
}

func (w *treeWriter) makeFolder(folder string) error {
	if w.made[folder] {
		return nil
	}
	w.made[folder] = true
	return unwritable(os.MkdirAll(filepath.Join(w.folder, filepath.FromSlash(folder)), 0o777))
}

func hasTarget(link, target string) error {
	found, err := os.Readlink(link)
	if err == nil && found != target {
		err = broken("%s leads to %q", link, found)
	}
	return err
}

// fill writes what belongs to the file that is open, and answers the rest.
func (w *treeWriter) fill(data []byte) ([]byte, error) {
	if w.growing == nil || len(data) == 0 {
		return data, nil
	}
	part := data[:min(int64(len(data)), w.growing.rest)]
	var err error
	if w.recalling {
		_, err = io.ReadFull(w.growing.file, part)
	} else {
		_, err = w.growing.file.Write(part)
	}
	if err != nil {
		return nil, unwritable(err)
	}
	w.growing.crc = crc32.Update(w.growing.crc, castagnoli, part)
	w.growing.rest -= int64(len(part))
	return data[len(part):], w.complete()
}

func (w *treeWriter) complete() error {
	whole := w.growing
	if whole.rest > 0 {
		return nil
	}
	w.growing = nil
	w.unended[whole.index] = ended{whole.path, whole.crc}
	return unwritable(whole.file.Close())
}

func unwritable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("what was downloaded cannot be written: %w", err)
}
