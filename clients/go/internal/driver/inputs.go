package main

import (
	"fmt"
	"strconv"

	appengine "github.com/cytomine/app-engine/clients/go"
)

// given is an input as the tests write it: one of the fields. Numbers are texts, so that nothing is
// lost on the way.
type given struct {
	Boolean     *bool   `json:"boolean"`
	Integer     *string `json:"integer"`
	Number      *string `json:"number"`
	String      *string `json:"string"`
	Enumeration *string `json:"enumeration"`
	DateTime    *string `json:"datetime"`
	Geometry    *string `json:"geometry"`
	File        string  `json:"file"`
	Companion   string  `json:"companion"`
	Reference   string  `json:"reference"`
	Pattern     string  `json:"pattern"`
	Array       []given `json:"array"`
	Null        bool    `json:"null"`
}

func inputsOf(all map[string]given) (appengine.Inputs, error) {
	inputs := appengine.Inputs{}
	for name, one := range all {
		input, err := one.input()
		if err != nil {
			return nil, err
		}
		inputs[name] = input
	}
	return inputs, nil
}

func (g given) input() (appengine.Input, error) {
	switch {
	case g.Boolean != nil:
		return appengine.Boolean(*g.Boolean), nil
	case g.Integer != nil:
		number, err := strconv.ParseInt(*g.Integer, 10, 64)
		return appengine.Integer(number), err
	case g.Number != nil:
		number, err := strconv.ParseFloat(*g.Number, 64)
		return appengine.Number(number), err
	case g.String != nil:
		return appengine.String(*g.String), nil
	case g.Enumeration != nil:
		return appengine.Enumeration(*g.Enumeration), nil
	case g.DateTime != nil:
		return appengine.DateTimeText(*g.DateTime), nil
	case g.Geometry != nil:
		return appengine.Geometry(*g.Geometry), nil
	case g.Companion != "":
		return appengine.Crop(g.File, g.Companion), nil
	case g.File != "":
		return appengine.File(g.File), nil
	case g.Reference != "":
		return appengine.Reference(g.Reference), nil
	case g.Pattern != "":
		return appengine.ReferencePattern(g.Pattern), nil
	case g.Null:
		return appengine.Null(), nil
	case g.Array != nil:
		return g.array()
	default:
		return appengine.Input{}, fmt.Errorf("an input without a value")
	}
}

func (g given) array() (appengine.Input, error) {
	items := make([]appengine.Input, len(g.Array))
	for index, one := range g.Array {
		item, err := one.input()
		if err != nil {
			return appengine.Input{}, err
		}
		items[index] = item
	}
	return appengine.Array(items...), nil
}
