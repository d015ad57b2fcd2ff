// Command measure runs the example task of that name on a picture, and fetches what it measured.
//
//	go run ./examples/measure -bundle measure.zip -picture crop.png -region crop.geojson \
//		-out results outline1.geojson outline2.geojson
//
// Stopped while it uploads the bundle, and started again, it goes on where it was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	appengine "github.com/cytomine/app-engine/clients/go"
	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

const task = "org.cytomine.examples.measure:1.0.0"

func main() {
	server := flag.String("server", "", "HOST:PORT; APPENGINE_SERVER if it is not given")
	bundle := flag.String("bundle", "", "the task, made by scripts/build-bundle examples/measure")
	picture := flag.String("picture", "", "what was annotated, a PNG")
	region := flag.String("region", "", "the GeoJSON file that says where the picture was cropped from")
	out := flag.String("out", "results", "the folder for the outputs")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "measure [options] OUTLINE.geojson…")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *bundle == "" || *picture == "" || *region == "" {
		fmt.Fprintln(os.Stderr, "error: -bundle, -picture and -region are needed; -help explains them")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *server, *bundle, appengine.Crop(*picture, *region), *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(
	ctx context.Context, server, bundle string, picture appengine.Input, out string, outlines []string,
) error {
	client, err := appengine.Connect(appengine.Options{Server: server})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := install(ctx, client, bundle); err != nil {
		return err
	}
	inputs := appengine.Inputs{
		"picture":     picture,
		"acquired_at": appengine.DateTime(time.Now()),
		"title":       appengine.String(filepath.Base(out)),
	}
	if err := addOutlines(inputs, outlines); err != nil {
		return err
	}
	created, err := client.CreateRun(ctx, task, inputs, appengine.RunOptions{
		Start: true, Labels: map[string]string{"by": "the Go example"},
	})
	if err != nil {
		return err
	}
	ended, err := follow(ctx, client, created.GetId())
	if err != nil {
		return err
	}
	if ended.GetState() != pb.RunState_RUN_STATE_SUCCEEDED {
		failure := ended.GetFailure() // none where it was cancelled
		return fmt.Errorf("%v: %v: %s", ended.GetState(), failure.GetReason(), failure.GetMessage())
	}
	return fetch(ctx, client, ended.GetId(), out)
}

// install uploads the task unless the server has it.
func install(ctx context.Context, client *appengine.Client, bundle string) error {
	facts, err := os.Stat(bundle)
	if err != nil {
		return err
	}
	// The same file has the same id, so that the next process goes on where this one was killed.
	name := fmt.Sprint(bundle, facts.Size(), facts.ModTime())
	options := appengine.TransferOptions{
		RequestID:  uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String(),
		OnProgress: tellTenths(),
	}
	published, err := client.UploadTask(ctx, bundle, options)
	var refused *appengine.Error
	if errors.As(err, &refused) && refused.Reason == appengine.ReasonTaskExists {
		return nil
	}
	if err == nil && published.GetState() != pb.TaskState_TASK_STATE_READY {
		err = errors.New(published.GetFailure().GetMessage())
	}
	return err
}

// tellTenths prints each tenth that was sent.
func tellTenths() func(appengine.Progress) {
	told := int64(0)
	return func(now appengine.Progress) {
		if tenths := 10 * now.DoneBytes / max(now.TotalBytes, 1); tenths > told {
			told = tenths
			fmt.Printf("sent %d of %d bytes\n", now.DoneBytes, now.TotalBytes)
		}
	}
}

// addOutlines gives the task an annotation for each GeoJSON file, all with one label.
func addOutlines(inputs appengine.Inputs, paths []string) error {
	annotations, labels, documents := []appengine.Input{}, []appengine.Input{}, []appengine.Input{}
	for _, path := range paths {
		geojson, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		annotations = append(annotations, appengine.Geometry(string(geojson)))
		labels = append(labels, appengine.Enumeration("other"))
		documents = append(documents, appengine.File(path))
	}
	inputs["annotations"] = appengine.Array(annotations...)
	inputs["labels"] = appengine.Array(labels...)
	inputs["documents"] = appengine.Array(documents...)
	return nil
}

// follow shows the states of the run until its end.
func follow(ctx context.Context, client *appengine.Client, runID string) (*pb.Run, error) {
	var newest *pb.Run
	shown := pb.RunState_RUN_STATE_UNSPECIFIED
	for answer, err := range client.Watch(ctx, runID, 0) {
		if err != nil {
			return nil, err
		}
		// Other changes, such as an input that came, leave the state as it is.
		if state := answer.GetEvent().GetState(); state != shown {
			shown = state
			fmt.Println(state)
		}
		newest = answer.GetRun()
	}
	return newest, nil
}

func fetch(ctx context.Context, client *appengine.Client, runID, out string) error {
	outputs, err := client.Outputs(ctx, runID)
	if err != nil {
		return err
	}
	for _, output := range outputs {
		if output.GetParameter() == "summary" {
			fmt.Println("summary:", output.GetValue().GetString_())
		}
	}
	fmt.Println("log:")
	for piece, err := range client.Logs(ctx, runID, appengine.LogOptions{}) {
		if err != nil {
			return err
		}
		fmt.Printf("%s", piece)
	}
	fetched, err := client.DownloadOutputs(ctx, runID, out, appengine.TransferOptions{})
	if err == nil {
		fmt.Printf("%d files are in %s\n", fetched.Files, out)
	}
	return err
}
