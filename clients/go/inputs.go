package appengine

import (
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// Inputs are the inputs of a run by their names.
type Inputs map[string]Input

// Input is what an input takes: a value, a file to upload, or an array of these. Nothing is
// converted between kinds, except that an integer is a valid number.
type Input struct {
	value     *pb.Value
	local     string // a file or folder to upload
	companion string
	items     []Input
	isArray   bool
}

// Boolean is a value of the type boolean.
func Boolean(value bool) Input {
	return valued(&pb.Value{Kind: &pb.Value_Boolean{Boolean: value}})
}

// Integer is a value of the type integer or number.
func Integer(value int64) Input {
	return valued(&pb.Value{Kind: &pb.Value_Integer{Integer: value}})
}

// Number is a value of the type number.
func Number(value float64) Input {
	return valued(&pb.Value{Kind: &pb.Value_Number{Number: value}})
}

// String is a value of the type string. A long one is uploaded.
func String(value string) Input {
	return valued(&pb.Value{Kind: &pb.Value_String_{String_: value}})
}

// Enumeration is one of the texts that the task lists.
func Enumeration(value string) Input {
	return valued(&pb.Value{Kind: &pb.Value_Enumeration{Enumeration: value}})
}

// DateTime is a moment with its zone.
func DateTime(value time.Time) Input {
	return DateTimeText(value.Format(time.RFC3339Nano))
}

// DateTimeText is a moment as the task will see it, such as 2024-05-01T12:00:00+02:00.
func DateTimeText(value string) Input {
	return valued(&pb.Value{Kind: &pb.Value_Datetime{Datetime: &pb.DateTime{Text: value}}})
}

// Geometry is one GeoJSON object as text, which is kept byte for byte. A long one is uploaded.
func Geometry(geojson string) Input {
	return valued(&pb.Value{Kind: &pb.Value_Geometry{Geometry: geojson}})
}

// Null clears an optional input.
func Null() Input {
	return valued(&pb.Value{Kind: &pb.Value_Null{Null: structpb.NullValue_NULL_VALUE}})
}

// Reference is a file or folder of a dataset that the server has: used in place, never copied.
func Reference(path string) Input {
	return valued(&pb.Value{Kind: &pb.Value_Dataset{Dataset: &pb.DatasetReference{Path: path}}})
}

// ReferencePattern is an array of all files of a dataset that match, such as /data/set1/*.tiff.
func ReferencePattern(pattern string) Input {
	return valued(&pb.Value{Kind: &pb.Value_Dataset{Dataset: &pb.DatasetReference{Pattern: pattern}}})
}

// File is a local file, or a folder of WSI-DICOM files, to upload as a file or image.
func File(local string) Input { return Input{local: local} }

// Crop is a local image with the GeoJSON file that says where in a larger image it was cropped from.
func Crop(local, companion string) Input { return Input{local: local, companion: companion} }

// Array is an array of values, files, or arrays.
func Array(items ...Input) Input { return Input{items: items, isArray: true} }

func valued(value *pb.Value) Input { return Input{value: value} }

func (i Input) isFile() bool { return i.local != "" }

func (i Input) isReference() bool { return i.value != nil && i.value.GetDataset() != nil }

// has says whether anything in the input, at any depth, is so.
func (i Input) has(is func(Input) bool) bool {
	for _, item := range i.items {
		if item.has(is) {
			return true
		}
	}
	return is(i)
}

// message is an input without files as a value.
func (i Input) message() *pb.Value {
	if !i.isArray {
		return i.value
	}
	array := &pb.ArrayValue{}
	for _, item := range i.items {
		array.Items = append(array.Items, item.message())
	}
	return &pb.Value{Kind: &pb.Value_Array{Array: array}}
}

// textOnDisk is a scalar value as the file that a task reads.
func textOnDisk(value *pb.Value) []byte {
	switch kind := value.GetKind().(type) {
	case *pb.Value_Boolean:
		return strconv.AppendBool(nil, kind.Boolean)
	case *pb.Value_Integer:
		return strconv.AppendInt(nil, kind.Integer, 10)
	case *pb.Value_Number:
		return []byte(numberText(kind.Number))
	case *pb.Value_String_:
		return []byte(kind.String_)
	case *pb.Value_Enumeration:
		return []byte(kind.Enumeration)
	case *pb.Value_Datetime:
		return []byte(kind.Datetime.GetText())
	case *pb.Value_Geometry:
		return []byte(kind.Geometry)
	default:
		return nil
	}
}

// numberText is the shortest text that reads back to the same number.
func numberText(number float64) string {
	switch {
	case math.IsNaN(number):
		return "nan"
	case math.IsInf(number, 1):
		return "inf"
	case math.IsInf(number, -1):
		return "-inf"
	default:
		return strconv.FormatFloat(number, 'g', -1, 64)
	}
}
