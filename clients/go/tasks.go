package appengine

import (
	"context"

	"google.golang.org/protobuf/proto"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// UploadTask uploads a bundle, makes a task of it, and waits until it is published: it is READY, or
// FAILED with the reason in Failure.
func (c *Client) UploadTask(ctx context.Context, bundle string, options TransferOptions) (*pb.Task, error) {
	upload, err := c.UploadBundle(ctx, bundle, options)
	if err != nil {
		return nil, err
	}
	// With the same id a later process gets the task that an earlier one made.
	task, err := c.createTask(ctx, upload.GetId(), idOr(options.RequestID))
	if err != nil {
		return nil, err
	}
	for changed, err := range c.WatchTask(ctx, task.GetId()) {
		if err != nil {
			return nil, err
		}
		task = changed
	}
	return task, nil
}

// CreateTask makes a task of an uploaded bundle, and does not wait until it is published.
func (c *Client) CreateTask(ctx context.Context, uploadID string) (*pb.Task, error) {
	return c.createTask(ctx, uploadID, newID())
}

func (c *Client) createTask(ctx context.Context, uploadID, requestID string) (*pb.Task, error) {
	request := &pb.CreateTaskRequest{
		RequestId: requestID,
		Project:   c.settings.project,
		Source:    &pb.CreateTaskRequest_UploadId{UploadId: uploadID},
	}
	answer, err := c.Tasks.CreateTask(ctx, request)
	if err == nil {
		return answer.GetTask(), nil
	}
	return nil, withAllProblems(err, func() ([]*pb.Problem, error) {
		trial := proto.CloneOf(request)
		trial.RequestId, trial.ValidateOnly = "", true
		answer, err := c.Tasks.CreateTask(ctx, trial)
		return answer.GetProblems(), err
	})
}

// Task answers one task: NAMESPACE:VERSION, or its id.
func (c *Client) Task(ctx context.Context, task string) (*pb.Task, error) {
	name, err := c.taskName(task)
	if err != nil {
		return nil, err
	}
	answer, err := c.Tasks.GetTask(ctx, &pb.GetTaskRequest{Task: name})
	return answer.GetTask(), err
}
