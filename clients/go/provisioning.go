package appengine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// maxRequestBytes is for the values of one request together; gRPC takes 4 MiB.
const maxRequestBytes = 3 * mib

var errUnmixed = errors.New("an array with files to upload may hold files and references, no other values")

// plannedUpload is one upload that provisions an input.
type plannedUpload struct {
	parameter string
	part      pb.InputPart
	entries   []entry
}

// inputPlan is how all inputs get to the server: the requests first, then the uploads.
type inputPlan struct {
	requests [][]*pb.InputValue
	uploads  []plannedUpload
}

func (p *inputPlan) fitsOneRequest() bool { return len(p.requests) <= 1 && len(p.uploads) == 0 }

// planInputs decides for each input how it travels.
func planInputs(inputs Inputs, maxInlineBytes int64) (*inputPlan, error) {
	made := &inputPlan{}
	var values []*pb.InputValue
	for _, name := range sortedNames(inputs) {
		input := inputs[name]
		if input.has(Input.isFile) {
			if err := made.addFiles(name, input, &values); err != nil {
				return nil, fmt.Errorf("the input %q: %w", name, err)
			}
			continue
		}
		value := input.message()
		switch {
		case int64(proto.Size(value)) <= maxInlineBytes:
			values = append(values, &pb.InputValue{Parameter: name, Value: value})
		case input.has(Input.isReference): // many references: nothing to upload
			values = append(values, referenceValues(name, value)...)
		default:
			made.uploads = append(made.uploads, plannedUpload{
				parameter: name, part: pb.InputPart_INPUT_PART_WHOLE, entries: entriesOf(name, value),
			})
		}
	}
	made.requests = batches(values)
	return made, nil
}

// addFiles plans the uploads of a file, an image, or an array of them; the items of an array that are
// references are values.
func (p *inputPlan) addFiles(name string, input Input, values *[]*pb.InputValue) error {
	part := pb.InputPart_INPUT_PART_WHOLE
	var inParts []string // folders with `array.yml` are whole, which would clear what is referenced
	if input.has(Input.isReference) {
		// Items that are uploaded must not clear those that are referenced. An empty array before
		// them clears what the run may have had there.
		part = pb.InputPart_INPUT_PART_ITEMS
		*values = append(*values, &pb.InputValue{Parameter: name, Value: emptyArray()})
		inParts = foldersAboveReferences(name, input)
	}
	var items, companions []entry
	err := input.leaves(name, nil, func(path string, index []int64, leaf Input) error {
		switch {
		case leaf.isArray:
			if !slices.Contains(inParts, path) {
				items = append(items, inMemory(path+"/array.yml", arrayMetadata(len(leaf.items))))
			}
		case leaf.isReference():
			*values = append(*values, &pb.InputValue{Parameter: name, Index: index, Value: leaf.value})
		case leaf.isFile():
			found, err := listed(path, leaf.local)
			items = append(items, found...)
			if err == nil && leaf.companion != "" {
				found, err = listed(path+".geojson", leaf.companion)
				companions = append(companions, found...)
			}
			return err
		default:
			return errUnmixed
		}
		return nil
	})
	if err != nil {
		return err
	}
	if input.isArray { // companions of items lie beside them
		items, companions = append(items, companions...), nil
	}
	p.uploads = append(p.uploads, plannedUpload{name, part, items})
	if len(companions) > 0 {
		p.uploads = append(p.uploads, plannedUpload{name, pb.InputPart_INPUT_PART_COMPANION, companions})
	}
	return nil
}

// leaves visits the arrays, files and values of an input, with their paths in the input folder.
func (i Input) leaves(path string, index []int64, visit func(string, []int64, Input) error) error {
	if err := visit(path, index, i); err != nil {
		return err
	}
	for number, item := range i.items {
		inside := append(slices.Clone(index), int64(number))
		if err := item.leaves(fmt.Sprintf("%s/%d", path, number), inside, visit); err != nil {
			return err
		}
	}
	return nil
}

func foldersAboveReferences(name string, input Input) []string {
	var found []string
	_ = input.leaves(name, nil, func(path string, _ []int64, leaf Input) error {
		for leaf.isReference() && strings.Contains(path, "/") {
			path = path[:strings.LastIndexByte(path, '/')]
			found = append(found, path)
		}
		return nil
	})
	return found
}

// referenceValues are an array of references whole, or item by item where one request has no room.
func referenceValues(name string, value *pb.Value) []*pb.InputValue {
	if proto.Size(value) <= maxRequestBytes {
		return []*pb.InputValue{{Parameter: name, Value: value}}
	}
	values := []*pb.InputValue{{Parameter: name, Value: emptyArray()}}
	for index, item := range value.GetArray().GetItems() {
		values = append(values, &pb.InputValue{Parameter: name, Index: []int64{int64(index)}, Value: item})
	}
	return values
}

// entriesOf is a large value as the files of the run's input folder.
func entriesOf(path string, value *pb.Value) []entry {
	if value.GetArray() == nil {
		return []entry{inMemory(path, textOnDisk(value))}
	}
	items := value.GetArray().GetItems()
	found := []entry{inMemory(path+"/array.yml", arrayMetadata(len(items)))}
	for index, item := range items {
		found = append(found, entriesOf(fmt.Sprintf("%s/%d", path, index), item)...)
	}
	return found
}

func arrayMetadata(size int) []byte { return fmt.Appendf(nil, "size: %d\n", size) }

func emptyArray() *pb.Value { return &pb.Value{Kind: &pb.Value_Array{Array: &pb.ArrayValue{}}} }

func batches(values []*pb.InputValue) [][]*pb.InputValue {
	var made [][]*pb.InputValue
	room := 0
	for _, value := range values {
		size := proto.Size(value) + 8
		if len(made) == 0 || size > room {
			made = append(made, nil)
			room = maxRequestBytes
		}
		made[len(made)-1] = append(made[len(made)-1], value)
		room -= size
	}
	return made
}

func sortedNames(inputs Inputs) []string {
	names := make([]string, 0, len(inputs))
	for name := range inputs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
