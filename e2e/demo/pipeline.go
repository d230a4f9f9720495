package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	sim "github.com/towline/towline/e2e/gitlabsim"
	"github.com/towline/towline/e2e/gitlabsim/joblog"
)

// pipeline runs the project's pipeline once and shows what came of it.
func (s *stage) pipeline(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jobWithin)
	defer cancel()
	p, err := s.gitlab.RunPipeline(ctx, sim.PipelineOptions{Project: projectPath})
	if err != nil {
		return err
	}
	id := p.Jobs[0].ID
	s.tell.say("gitlab", "pipeline %d created; job %d waits for a runner tagged %s", p.ID, id, agentName)
	job, err := s.gitlab.Wait(ctx, id)
	if err != nil {
		return err
	}
	raw, err := s.gitlab.Trace(ctx, id)
	if err != nil {
		return err
	}
	s.tell.head("Log of job %d as GitLab shows it", id)
	s.tell.block(joblog.Text(raw, true))
	s.tell.head("kubectl get deployment,service --namespace %s", namespace)
	if err := s.show(ctx); err != nil {
		return err
	}
	s.tell.head("Where the time went")
	s.times(job)
	if job.Status != sim.Success {
		return fmt.Errorf("job %d ended as %s (%s)", id, job.Status, job.FailureReason)
	}
	if !job.Checksum.Equal {
		return fmt.Errorf("checksum of the log: announced %s, stored %s", job.Checksum.Announced, job.Checksum.Computed)
	}
	return nil
}

// times shows each stretch of a job's way.
func (s *stage) times(j sim.Job) {
	handed := j.At(sim.EventHandedOut)
	for _, step := range []struct {
		what string
		at   time.Time
	}{
		{"first log byte in GitLab", j.At(sim.EventFirstByte)},
		{"final state in GitLab", j.At(sim.EventFinalPut)},
	} {
		s.tell.block(fmt.Sprintf("%6d ms  handed out -> %s\n", step.at.Sub(handed).Milliseconds(), step.what))
	}
	s.tell.block(fmt.Sprintf("%6d ms  pending -> handed out\n", handed.Sub(j.At(sim.EventPending)).Milliseconds()))
}

// show prints the server's own table of deployments and services.
func (s *stage) show(ctx context.Context) error {
	cfg, err := s.cluster.RESTConfig()
	if err != nil {
		return err
	}
	for _, of := range []struct{ api, resource, prefix string }{
		{"/apis/apps/v1", "deployments", "deployment.apps/"}, {"/api/v1", "services", "service/"},
	} {
		table, err := tableOf(ctx, cfg, of.api, of.resource)
		if err != nil {
			return err
		}
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
		var head []string
		for _, c := range table.ColumnDefinitions {
			if c.Priority == 0 {
				head = append(head, strings.ToUpper(c.Name))
			}
		}
		fmt.Fprintln(w, strings.Join(head, "\t"))
		for _, row := range table.Rows {
			var cells []string
			for i, c := range table.ColumnDefinitions {
				if c.Priority == 0 {
					cells = append(cells, fmt.Sprint(row.Cells[i]))
				}
			}
			cells[0] = of.prefix + cells[0]
			fmt.Fprintln(w, strings.Join(cells, "\t"))
		}
		_ = w.Flush()
		s.tell.block(b.String())
	}
	return nil
}

func tableOf(ctx context.Context, cfg *rest.Config, api, resource string) (*metav1.Table, error) {
	client, err := rest.UnversionedRESTClientFor(&rest.Config{
		Host: cfg.Host, TLSClientConfig: cfg.TLSClientConfig,
		ContentConfig: rest.ContentConfig{NegotiatedSerializer: runtime.NewSimpleNegotiatedSerializer(runtime.SerializerInfo{})},
	})
	if err != nil {
		return nil, err
	}
	raw, err := client.Get().AbsPath(api, "namespaces", namespace, resource).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var t metav1.Table
	return &t, json.Unmarshal(raw, &t)
}

// judge checks that GitLab saw nothing it would not expect of a runner.
func (s *stage) judge(ctx context.Context) error {
	odd, err := s.gitlab.Anomalies(ctx)
	if err != nil {
		return err
	}
	s.tell.head("Verdict")
	if len(odd) > 0 {
		for _, a := range odd {
			s.tell.block(fmt.Sprintf("anomaly: %s job %d: %s\n", a.Endpoint, a.Job, a.What))
		}
		return errors.New("GitLab saw requests that a correct runner does not make")
	}
	s.tell.block("both jobs succeeded, GitLab's checksums of their logs are equal, and it saw no anomaly\n")
	return nil
}
