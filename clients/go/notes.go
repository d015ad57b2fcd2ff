package appengine

import (
	"bufio"
	"bytes"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// notes say beside a download how far it is, for the process that follows a killed one: each message
// once it was written, without its data, and the place behind it. What comes after the last whole pair
// is dropped, and comes again.
type notes struct {
	file *os.File
}

// openNotes reads what was noted, hands each pair to recall, and goes on behind the last one.
func openNotes(path string, recall func(*pb.DownloadResponse, place) error) (*notes, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(err)
	}
	reader, length := bufio.NewReader(file), int64(0)
	for {
		message, after := &pb.DownloadResponse{}, &pb.Place{}
		if protodelim.UnmarshalFrom(reader, message) != nil || protodelim.UnmarshalFrom(reader, after) != nil {
			break
		}
		length += int64(protowire.SizeBytes(proto.Size(message)) + protowire.SizeBytes(proto.Size(after)))
		if err := recall(message, placeOf(after)); err != nil {
			file.Close()
			return nil, err
		}
	}
	if err = file.Truncate(length); err == nil {
		_, err = file.Seek(length, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, unwritable(err)
	}
	return &notes{file}, nil
}

func (n *notes) add(message *pb.DownloadResponse, after place) error {
	kept := &pb.DownloadResponse{Header: message.GetHeader()}
	if chunk := message.GetChunk(); !isEmpty(chunk) {
		kept.Chunk = &pb.Chunk{
			Place: chunk.Place, Crc32C: chunk.Crc32C, Entries: chunk.Entries, Ends: chunk.Ends,
		}
	}
	var pair bytes.Buffer
	for _, one := range []proto.Message{kept, after.message()} {
		if _, err := protodelim.MarshalTo(&pair, one); err != nil {
			return err
		}
	}
	_, err := n.file.Write(pair.Bytes())
	return unwritable(err)
}

func (n *notes) close() { n.file.Close() }
