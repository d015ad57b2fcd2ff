// Command driver does with the client what the tests say: one line of JSON in, and one or more out,
// the last of which holds `ok` or `error`. The list of what is done is in tests/clients.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	appengine "github.com/cytomine/app-engine/clients/go"
	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

const longestLine = 64 << 20

type order struct {
	Do        string            `json:"do"`
	Server    string            `json:"server"`
	Token     string            `json:"token"`
	CA        string            `json:"ca"`
	Bundle    string            `json:"bundle"`
	Task      string            `json:"task"`
	Run       string            `json:"run"`
	Inputs    map[string]given  `json:"inputs"`
	Labels    map[string]string `json:"labels"`
	Start     bool              `json:"start"`
	RequestID string            `json:"request_id"`
	After     int64             `json:"after"`
	Cursor    int64             `json:"cursor"`
	Of        string            `json:"of"`
	Path      string            `json:"path"`
	Folder    string            `json:"folder"`
}

type driver struct {
	client *appengine.Client
	out    *json.Encoder
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	driver := driver{out: json.NewEncoder(os.Stdout)}
	for lines.Scan() {
		var order order
		if err := json.Unmarshal(lines.Bytes(), &order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answer, err := driver.obey(context.Background(), order)
		if err != nil {
			driver.say("error", described(err))
		} else {
			driver.say("ok", answer)
		}
	}
}

func (d *driver) say(what string, content any) {
	if err := d.out.Encode(map[string]any{what: content}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (d *driver) obey(ctx context.Context, order order) (any, error) {
	switch order.Do {
	case "connect":
		return d.connect(order)
	case "upload_task":
		return message(d.client.UploadTask(ctx, order.Bundle, appengine.TransferOptions{}))
	case "create":
		inputs, err := inputsOf(order.Inputs)
		if err != nil {
			return nil, err
		}
		return message(d.client.CreateRun(ctx, order.Task, inputs, appengine.RunOptions{
			Labels: order.Labels, Start: order.Start, RequestID: order.RequestID,
		}))
	case "provision":
		inputs, err := inputsOf(order.Inputs)
		if err != nil {
			return nil, err
		}
		return message(d.client.Provision(ctx, order.Run, inputs, appengine.TransferOptions{}))
	case "start":
		return message(d.client.StartRun(ctx, order.Run))
	case "cancel":
		return message(d.client.CancelRun(ctx, order.Run))
	case "run":
		return message(d.client.Run(ctx, order.Run))
	case "wait":
		return message(d.client.Wait(ctx, order.Run))
	case "watch":
		return d.watch(ctx, order)
	case "logs":
		return d.logs(ctx, order)
	case "inputs":
		return messages(d.client.Inputs(ctx, order.Run))
	case "outputs":
		return messages(d.client.Outputs(ctx, order.Run))
	case "download":
		return d.download(ctx, order)
	default:
		return nil, fmt.Errorf("there is no %q", order.Do)
	}
}

func (d *driver) connect(order order) (any, error) {
	if d.client != nil {
		d.client.Close()
	}
	var err error
	d.client, err = appengine.Connect(appengine.Options{
		Server: order.Server, Token: order.Token, CAFile: order.CA,
	})
	return nil, err
}

func (d *driver) watch(ctx context.Context, order order) (any, error) {
	for answer, err := range d.client.Watch(ctx, order.Run, order.After) {
		if err != nil {
			return nil, err
		}
		event, err := message(answer.GetEvent(), nil)
		if err != nil {
			return nil, err
		}
		d.say("event", event)
	}
	return nil, nil
}

func (d *driver) logs(ctx context.Context, order order) (any, error) {
	var text []byte
	options := appengine.LogOptions{Cursor: order.Cursor, Follow: true}
	for piece, err := range d.client.Logs(ctx, order.Run, options) {
		if err != nil {
			return nil, err
		}
		text = append(text, piece...)
	}
	return string(text), nil
}

func (d *driver) download(ctx context.Context, order order) (any, error) {
	resource := &pb.Resource{Resource: &pb.Resource_RunInputs{RunInputs: order.Run}, Path: order.Path}
	if order.Of == "outputs" {
		resource.Resource = &pb.Resource_RunOutputs{RunOutputs: order.Run}
	}
	fetched, err := d.client.Download(ctx, resource, order.Folder, appengine.TransferOptions{})
	return map[string]any{"names": fetched.Names, "bytes": fetched.Bytes, "files": fetched.Files}, err
}

func message(answer proto.Message, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	text, err := protojson.Marshal(answer)
	return json.RawMessage(text), err
}

func messages(answers []*pb.ParameterValue, err error) (any, error) {
	all := make([]any, len(answers))
	for index, answer := range answers {
		if err == nil {
			all[index], err = message(answer, nil)
		}
	}
	return all, err
}

func described(err error) any {
	var refused *appengine.Error
	if !errors.As(err, &refused) {
		return map[string]any{"message": err.Error()}
	}
	problems := []map[string]string{}
	for _, one := range refused.Problems {
		problems = append(problems, map[string]string{
			"path": one.Path, "reason": one.Reason, "message": one.Message,
		})
	}
	return map[string]any{
		"status":   code.Code(refused.Code).String(),
		"reason":   refused.Reason,
		"message":  refused.Message,
		"problems": problems,
		"fields":   refused.Fields,
	}
}
