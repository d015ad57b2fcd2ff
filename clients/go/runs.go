package appengine

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/cytomine/app-engine/clients/go/appenginev1"
)

// mostItems of arrays come in one answer: the most that a server gives.
const mostItems = 10_000

// RunOptions say more about a new run.
type RunOptions struct {
	// Labels are for finding the run again.
	Labels map[string]string
	// Start puts the run into the queue.
	Start bool
	// RequestID is a UUID of the caller's: the same call with the same one makes no second run, but
	// goes on with the first, wherever it was interrupted.
	RequestID string
	// OnProgress is called while files are sent.
	OnProgress func(Progress)
}

// CreateRun makes a run of a task (NAMESPACE:VERSION, or its id), gives it inputs, and starts it if
// that is asked for. One call is made where values are small; files and large values are uploaded.
func (c *Client) CreateRun(
	ctx context.Context, task string, inputs Inputs, options RunOptions,
) (*pb.Run, error) {
	name, err := c.taskName(task)
	if err != nil {
		return nil, err
	}
	plan, err := c.plan(ctx, inputs)
	if err != nil {
		return nil, err
	}
	request := &pb.CreateRunRequest{
		RequestId: idOr(options.RequestID), Project: c.settings.project, Task: name, Labels: options.Labels,
	}
	if plan.fitsOneRequest() {
		request.Inputs, request.Start = slices.Concat(plan.requests...), options.Start
		return c.create(ctx, request)
	}
	run, err := c.create(ctx, request)
	if err != nil || !takesInputs(run) { // an earlier call with this request id started it
		return run, err
	}
	if run, err = c.carryOut(ctx, run, plan, options.OnProgress); err != nil || !options.Start {
		return run, err
	}
	return c.StartRun(ctx, run.GetId())
}

// Provision gives inputs to a run that is not started. Values of one request are stored all or not at
// all; files follow one by one.
func (c *Client) Provision(
	ctx context.Context, runID string, inputs Inputs, options TransferOptions,
) (*pb.Run, error) {
	plan, err := c.plan(ctx, inputs)
	if err != nil {
		return nil, err
	}
	run, err := c.Run(ctx, runID)
	if err != nil {
		return nil, err
	}
	return c.carryOut(ctx, run, plan, options.OnProgress)
}

// Run answers one run.
func (c *Client) Run(ctx context.Context, runID string) (*pb.Run, error) {
	answer, err := c.Runs.GetRun(ctx, &pb.GetRunRequest{RunId: runID})
	return answer.GetRun(), err
}

// StartRun puts the run into the queue. Starting it twice changes nothing.
func (c *Client) StartRun(ctx context.Context, runID string) (*pb.Run, error) {
	answer, err := c.Runs.StartRun(ctx, &pb.StartRunRequest{RunId: runID})
	return answer.GetRun(), err
}

// CancelRun asks the run to stop, and does not wait until it has.
func (c *Client) CancelRun(ctx context.Context, runID string) (*pb.Run, error) {
	answer, err := c.Runs.CancelRun(ctx, &pb.CancelRunRequest{RunId: runID})
	return answer.GetRun(), err
}

// DeleteRun removes a run that has ended, or was not started, with its files and logs.
func (c *Client) DeleteRun(ctx context.Context, runID string) error {
	_, err := c.Runs.DeleteRun(ctx, &pb.DeleteRunRequest{RunId: runID})
	return err
}

// Wait answers the run once it has SUCCEEDED, FAILED or was CANCELLED.
func (c *Client) Wait(ctx context.Context, runID string) (*pb.Run, error) {
	for _, err := range c.Watch(ctx, runID, 0) {
		if err != nil {
			return nil, err
		}
	}
	return c.Run(ctx, runID)
}

// Inputs answers the inputs with their values, in the order of the descriptor.
func (c *Client) Inputs(ctx context.Context, runID string) ([]*pb.ParameterValue, error) {
	request := &pb.GetRunInputsRequest{RunId: runID, PageSize: mostItems}
	return allPages(func(token string) ([]*pb.ParameterValue, string, error) {
		request.PageToken = token
		page, err := c.Runs.GetRunInputs(ctx, request)
		return page.GetInputs(), page.GetNextPageToken(), err
	})
}

// Outputs answers the outputs of a run that SUCCEEDED, in the order of the descriptor.
func (c *Client) Outputs(ctx context.Context, runID string) ([]*pb.ParameterValue, error) {
	request := &pb.GetRunOutputsRequest{RunId: runID, PageSize: mostItems}
	return allPages(func(token string) ([]*pb.ParameterValue, string, error) {
		request.PageToken = token
		page, err := c.Runs.GetRunOutputs(ctx, request)
		return page.GetOutputs(), page.GetNextPageToken(), err
	})
}

// allPages puts together parameters whose arrays come on several pages.
func allPages(page func(token string) ([]*pb.ParameterValue, string, error)) ([]*pb.ParameterValue, error) {
	var whole []*pb.ParameterValue
	for token := ""; ; {
		parts, next, err := page(token)
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			if last := len(whole) - 1; last >= 0 && whole[last].GetParameter() == part.GetParameter() {
				array := whole[last].GetValue().GetArray()
				array.Items = append(array.Items, part.GetValue().GetArray().GetItems()...)
			} else {
				whole = append(whole, part)
			}
		}
		if token = next; token == "" {
			return whole, nil
		}
	}
}

func takesInputs(run *pb.Run) bool {
	return run.GetState() == pb.RunState_RUN_STATE_CREATED ||
		run.GetState() == pb.RunState_RUN_STATE_PROVISIONED
}

func (c *Client) plan(ctx context.Context, inputs Inputs) (*inputPlan, error) {
	if len(inputs) == 0 {
		return &inputPlan{}, nil
	}
	limits, err := c.Capabilities(ctx)
	if err != nil {
		return nil, err
	}
	return planInputs(inputs, limits.GetMaxInlineValueBytes())
}

func (c *Client) carryOut(
	ctx context.Context, run *pb.Run, plan *inputPlan, onProgress func(Progress),
) (*pb.Run, error) {
	for _, values := range plan.requests {
		request := &pb.ProvisionInputsRequest{RunId: run.GetId(), Inputs: values}
		answer, err := c.Runs.ProvisionInputs(ctx, request)
		if err != nil {
			return nil, withAllProblems(err, func() ([]*pb.Problem, error) {
				request.ValidateOnly = true
				answer, err := c.Runs.ProvisionInputs(ctx, request)
				return answer.GetProblems(), err
			})
		}
		run = answer.GetRun()
	}
	for _, one := range plan.uploads {
		options := TransferOptions{OnProgress: onProgress}
		finished, err := c.uploadInput(ctx, run.GetId(), one.parameter, one.part, one.entries, options)
		if err != nil {
			return nil, err
		}
		if finished.GetRun() != nil {
			run = finished.GetRun()
		}
	}
	return run, nil
}

func (c *Client) create(ctx context.Context, request *pb.CreateRunRequest) (*pb.Run, error) {
	answer, err := c.Runs.CreateRun(ctx, request)
	if err == nil {
		return answer.GetRun(), nil
	}
	return nil, withAllProblems(err, func() ([]*pb.Problem, error) {
		trial := proto.CloneOf(request)
		trial.RequestId, trial.ValidateOnly = "", true
		answer, err := c.Runs.CreateRun(ctx, trial)
		return answer.GetProblems(), err
	})
}

// withAllProblems completes a refusal: an answer holds only as many problems as fit into it.
func withAllProblems(err error, validate func() ([]*pb.Problem, error)) error {
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != codes.InvalidArgument ||
		refused.ProblemCount <= len(refused.Problems) {
		return err
	}
	problems, failure := validate()
	if failure != nil || len(problems) < len(refused.Problems) {
		return err // the first answer is what the user must see
	}
	refused.Problems = nil
	for _, one := range problems {
		refused.Problems = append(refused.Problems, Problem{one.GetPath(), one.GetReason(), one.GetMessage()})
	}
	refused.ProblemCount = len(problems)
	return err
}
