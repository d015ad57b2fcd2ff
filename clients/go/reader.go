package appengine

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"syscall"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunkReader reads a source in order and makes chunks of it. It keeps at most one file open.
type chunkReader struct {
	entries []entry
	file    *os.File
	open    int // the entry whose file that is

	// The checksum of the first bytes of one file.
	crcEntry int
	crc      uint32
	crcBytes int64
}

func newChunkReader(entries []entry) *chunkReader {
	return &chunkReader{entries: entries, open: -1, crcEntry: -1}
}

func (r *chunkReader) close() {
	if r.file != nil {
		r.file.Close()
		r.file, r.open = nil, -1
	}
}

// chunk reads what was planned.
func (r *chunkReader) chunk(plan plan) (*pb.Chunk, error) {
	made := &pb.Chunk{
		Place: plan.place.message(), Data: make([]byte, plan.after.bytes-plan.place.bytes),
	}
	for index := int(plan.place.entries); index < plan.begins; index++ {
		made.Entries = append(made.Entries, r.entries[index].message(index))
	}
	crcs, err := r.wholeAlready(plan)
	if err != nil {
		return nil, err
	}
	done := int64(0)
	for _, piece := range plan.pieces {
		if err := r.moveChecksum(piece.entry, piece.offset); err != nil {
			return nil, err
		}
		part := made.Data[done : done+piece.length]
		if err := r.read(piece.entry, piece.offset, part); err != nil {
			return nil, err
		}
		r.crc = crc32.Update(r.crc, castagnoli, part)
		r.crcBytes += piece.length
		crcs[piece.entry] = r.crc
		done += piece.length
	}
	made.Crc32C = crc32.Checksum(made.Data, castagnoli)
	for _, index := range plan.ends {
		made.Ends = append(made.Ends, &pb.FileEnd{Index: int64(index), Crc32C: crcs[index]})
	}
	return made, nil
}

// wholeAlready answers the checksums of files that end in this chunk and have no bytes in it.
func (r *chunkReader) wholeAlready(plan plan) (map[int]uint32, error) {
	crcs := make(map[int]uint32, len(plan.ends))
	here := make(map[int]bool, len(plan.pieces))
	for _, piece := range plan.pieces {
		here[piece.entry] = true
	}
	for _, index := range plan.ends {
		if !here[index] && r.entries[index].size > 0 {
			if err := r.moveChecksum(index, r.entries[index].size); err != nil {
				return nil, err
			}
			crcs[index] = r.crc
		}
	}
	return crcs, nil
}

// moveChecksum has the checksum of the first bytes of a file, reading it again if need be.
func (r *chunkReader) moveChecksum(index int, offset int64) error {
	if r.crcEntry == index && r.crcBytes == offset {
		return nil
	}
	r.crcEntry, r.crc, r.crcBytes = index, 0, 0
	buffer := make([]byte, min(offset, 4*mib))
	for r.crcBytes < offset {
		part := buffer[:min(offset-r.crcBytes, int64(len(buffer)))]
		if err := r.read(index, r.crcBytes, part); err != nil {
			return err
		}
		r.crc = crc32.Update(r.crc, castagnoli, part)
		r.crcBytes += int64(len(part))
	}
	return nil
}

func (r *chunkReader) read(index int, offset int64, into []byte) error {
	one := &r.entries[index]
	if one.facts == nil {
		copy(into, one.content[offset:])
		return nil
	}
	if err := r.opened(index); err != nil {
		return err
	}
	if _, err := r.file.ReadAt(into, offset); err == io.EOF {
		return fmt.Errorf("%s became shorter while it was sent", one.local)
	} else if err != nil {
		return fmt.Errorf("%s cannot be sent: %w", one.local, err)
	}
	return nil
}

func (r *chunkReader) opened(index int) error {
	if r.open == index {
		return nil
	}
	r.close()
	one := &r.entries[index]
	// Without O_NONBLOCK a FIFO that was put in the file's place would hang us.
	file, err := os.OpenFile(one.local, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("%s cannot be sent: %w", one.local, err)
	}
	facts, err := file.Stat()
	if err == nil && one.hasChanged(facts) {
		err = fmt.Errorf("%s has changed while it was sent", one.local)
	}
	if err != nil {
		file.Close()
		return err
	}
	r.file, r.open = file, index
	return nil
}
