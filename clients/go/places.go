package appengine

import (
	"sort"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

const (
	defaultChunkBytes = 2 * mib
	// Both keep a message of 2 MiB of data below the 4 MiB that gRPC takes.
	maxChunkEntries   = 4096
	maxChunkNameBytes = 512 << 10
)

// place is a position in a transfer. Both numbers are needed: empty files and folders have no bytes.
type place struct {
	bytes   int64 // of content before this place
	entries int64 // that begin before this place
}

func placeOf(message *pb.Place) place {
	return place{message.GetBytes(), message.GetEntries()}
}

func (p place) message() *pb.Place { return &pb.Place{Bytes: p.bytes, Entries: p.entries} }

func (p place) isBehindOrAt(other place) bool {
	return p.bytes <= other.bytes && p.entries <= other.entries
}

// piece is a stretch of one file's content in a chunk.
type piece struct {
	entry  int
	offset int64
	length int64
}

// plan is what one chunk will hold.
type plan struct {
	place  place // where its data begins
	begins int   // index behind the last entry that begins in it
	pieces []piece
	ends   []int // files that end in it
	after  place
}

// outline is all entries of a transfer in order, and where the content of each begins.
type outline struct {
	entries []entry
	starts  []int64
	end     place
}

func outlineOf(entries []entry) *outline {
	starts := make([]int64, len(entries)+1)
	for index, one := range entries {
		starts[index+1] = starts[index] + one.size
	}
	return &outline{entries, starts, place{starts[len(entries)], int64(len(entries))}}
}

// holds says whether there is such a place: its bytes lie in the last entry that has begun.
func (o *outline) holds(at place) bool {
	if !at.isBehindOrAt(o.end) || at.bytes < 0 || at.entries < 0 {
		return false
	}
	if at.entries == 0 {
		return at.bytes == 0
	}
	return o.starts[at.entries-1] <= at.bytes && at.bytes <= o.starts[at.entries]
}

// filesBefore is how many entries are complete at this place, for showing progress.
func (o *outline) filesBefore(at place) int64 {
	complete := sort.Search(len(o.starts), func(i int) bool { return o.starts[i] > at.bytes }) - 1
	return min(int64(complete), at.entries)
}

// plan says what goes into the chunk that begins at a place. After a rewind the end of the last file
// is sent again, for whether the server has it, its place does not tell.
func (o *outline) plan(at place, chunkBytes int64, endAgain bool) plan {
	made := plan{place: at}
	room, position, index := chunkBytes, at.bytes, int(at.entries)
	add := func(entry int) {
		rest := o.starts[entry+1] - position
		length := min(rest, room)
		if length > 0 {
			made.pieces = append(made.pieces, piece{entry, position - o.starts[entry], length})
		}
		if length == rest && o.entries[entry].kind == pb.EntryKind_ENTRY_KIND_FILE {
			made.ends = append(made.ends, entry)
		}
		room -= length
		position += length
	}
	if index > 0 && (endAgain || position < o.starts[index]) {
		add(index - 1)
	}
	limit, names := min(index+maxChunkEntries, len(o.entries)), 0
	for index < limit && names < maxChunkNameBytes && position == o.starts[index] &&
		(room > 0 || o.entries[index].size == 0) {
		add(index)
		names += len(o.entries[index].path)
		index++
	}
	made.begins = index
	made.after = place{position, int64(index)}
	return made
}

// uploadState is how far one upload is. It knows no gRPC, no file and no clock.
type uploadState struct {
	outline    *outline
	chunkBytes int64
	persisted  place
}

// rewind goes back to what the server holds, and says whether that is more than last time.
func (s *uploadState) rewind(persisted place) (bool, error) {
	if !s.persisted.isBehindOrAt(persisted) {
		return false, broken("the server says that it holds %d bytes of the upload; it has said %d before",
			persisted.bytes, s.persisted.bytes)
	}
	if !s.outline.holds(persisted) {
		return false, broken("the upload at the server (%d entries, %d bytes) does not fit the files here: "+
			"start a new upload", persisted.entries, persisted.bytes)
	}
	progressed := persisted != s.persisted
	s.persisted = persisted
	return progressed, nil
}
