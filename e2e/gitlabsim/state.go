package gitlabsim

import (
	"time"

	"github.com/towline/towline/e2e/gitlabsim/ciyaml"
)

// state is everything behind the server's mutex.
type state struct {
	last       map[string]int64 // last id per kind
	users      map[string]*user
	groups     map[string]*group // by full path
	projects   map[int64]*project
	byPath     map[string]*project // lower-case full path
	runners    map[int64]*runner
	agents     []*agent
	tokens     map[string]*accessToken
	deploy     map[string]*deployToken   // by token
	statuses   map[int64][]*CommitStatus // by project
	lastStatus int64
	// deployments are the records made outside of CI, by project.
	deployments map[int64][]*Deployment
	vars        map[string][]Variable // by scope
	pipelines   map[int64]*pipeline
	jobs        map[int64]*job
	queue       []*job // in order of creation, finished ones included
	anomalies   []Anomaly
	calls       []Call
	faults      []*fault
	windows     map[string]*window // rate limits
	objects     map[string]*artifact
}

func newState() *state {
	return &state{
		last: map[string]int64{
			"user": 0, "group": 69, "project": 19, "runner": 6, "agent": 4, "environment": 299,
			"pipeline": 573, "job": 1000, "fault": 0,
		},
		users: map[string]*user{}, groups: map[string]*group{}, projects: map[int64]*project{}, byPath: map[string]*project{},
		runners: map[int64]*runner{}, tokens: map[string]*accessToken{}, deploy: map[string]*deployToken{}, statuses: map[int64][]*CommitStatus{}, deployments: map[int64][]*Deployment{},
		vars: map[string][]Variable{}, pipelines: map[int64]*pipeline{}, jobs: map[int64]*job{},
		windows: map[string]*window{}, objects: map[string]*artifact{},
	}
}

func (st *state) next(kind string) int64 {
	st.last[kind]++
	return st.last[kind]
}

type user struct {
	User
	admin bool
	bot   bool
}

type group struct {
	id      int64
	path    string
	parent  *group
	members map[string]int // username -> access level
	user    bool           // a user's own namespace
}

type project struct {
	id            int64
	path          string
	group         *group
	defaultBranch string
	visibility    string
	members       map[string]int
	protected     []string // branch names, * as wildcard
	protectedEnvs []string // names of environments
	jobTokenFrom  []string
	timeout       int
	gitDepth      int
	createdAt     time.Time
	iid           int64 // last pipeline iid
	envs          []*environment
	configs       map[string]agentConfig // by agent name
}

type environment struct {
	Environment
	createdAt, updatedAt time.Time
	agent                *agent
	lastDeployment       *job
}

type agent struct {
	id      int64
	name    string
	token   string
	project *project
	created time.Time
}

type runner struct {
	id        int64
	token     string
	opts      RunnerOptions
	createdAt time.Time
	deleted   bool
	refusals  int // polls answered 403 since the deletion
	managers  []*manager
	queueKey  string        // value of runner:build_queue:<token> (3.4)
	changed   chan struct{} // closed when queueKey changes
	inflight  map[int64]time.Time
	lastPoll  int64
	polls     []time.Time // polls of the last second that brought no job
	pollsKey  string      // the queueKey of those polls
}

type manager struct {
	systemID    string
	info        map[string]any
	features    map[string]bool
	storedAt    time.Time // when info was last persisted (3.1)
	contactedAt time.Time
	shown       map[string]bool // features of the last call that carried info
}

type accessToken struct {
	user    *user
	project *project // project access token
	level   int      // role of a project access token
	scopes  []string
}

type deployToken struct {
	username string
	project  *project
}

type pipeline struct {
	id, iid   int64
	project   *project
	ref       string
	tag       bool
	sha       string
	beforeSHA string
	message   string
	author    string
	timestamp string
	source    string
	user      *user
	vars      []Variable
	yaml      []ciyaml.Variable
	stages    []string
	files     ciyaml.Files
	jobs      []*job
	createdAt time.Time
}

type job struct {
	id        int64
	spec      ciyaml.Job
	stageIdx  int
	pipeline  *pipeline
	status    Status
	token     string
	user      *user
	createdAt time.Time
	pendingAt time.Time
	startedAt time.Time
	updatedAt time.Time
	ended     time.Time
	runner    *runner
	manager   *manager
	graceful  bool
	trace     []byte
	debug     bool
	watched   bool
	erased    bool
	expired   bool // token expired
	reason    string
	exitCode  *int
	env       *environment
	vars      []Variable // manual-job variables
	dotenv    []Variable
	retried   bool
	attempt   int
	artifacts []*artifact
	events    []Event

	pendingState time.Time // first final PUT while persisting (8.2)
	persisted    int       // 202 answers given
	announced    string
	announcedLen int64
	ackUntil     time.Time // handed out in two phases, not yet confirmed (8.4)

	strict strictness
}

// strictness remembers what the client of one job has been told.
type strictness struct {
	firstPut   bool
	faulted    map[Endpoint]int // faults applied per endpoint
	excuse416  int              // 416 answers that injected faults explain
	last416    bool             // the previous PATCH was answered 416
	ownFinal   bool             // the client's own final PUT was answered 200
	told       bool             // the client was told about a final state
	afterFinal int              // calls since it was told
}

type artifact struct {
	Artifact
	content []byte
}
