package chart

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
)

func TestMissingOrWrongValuesAreToldInSentences(t *testing.T) {
	tests := map[string]struct {
		values string
		want   []string
	}{
		"address without a scheme":    {minimal + "---\ngitlab: {url: gitlab.example.com}\n", []string{"gitlab.url is no address"}},
		"address with a space":        {minimal + "---\ngitlab: {url: 'https://a b'}\n", []string{"gitlab.url is no address"}},
		"agent without a project":     {minimal + "---\nagent: production\n", []string{`agent is "production": it has the form group/project:name`}},
		"agent token for the runner":  {minimal + "---\ncredentials: {runner: {value: glagent-x}}\n", []string{"create a runner (Settings > CI/CD > Runners) and give its glrt- token"}},
		"runner token given twice":    {minimal + "---\ncredentials: {runner: {value: glrt-x, existingSecret: s}}\n", []string{"credentials.runner has both existingSecret and value"}},
		"config token given twice":    {minimal + "---\ncredentials: {runner: {value: glrt-x}, config: {value: x, existingSecret: s}}\n", []string{"credentials.config has both existingSecret and value"}},
		"caches in two places":        {minimal + "---\nrunner: {cache: {volume: {emptyDir: {}}, s3: {endpoint: 'https://s3', bucket: b, existingSecret: s}}}\n", []string{"runner.cache has both volume and s3"}},
		"a store without a bucket":    {minimal + "---\nrunner: {cache: {s3: {endpoint: 'https://s3'}}}\n", []string{"runner.cache.s3.bucket is missing", "runner.cache.s3.existingSecret is missing"}},
		"a bucket without a store":    {minimal + "---\nrunner: {cache: {s3: {bucket: b}}}\n", []string{"runner.cache.s3.endpoint is missing"}},
		"Redis given twice":           {minimal + "---\nredis: {external: {existingSecret: redis, url: 'redis://r'}}\n", []string{"redis.external has both existingSecret and url"}},
		"KEDA without an address":     {minimal + "---\nredis: {external: {existingSecret: redis}}\nrunner: {autoscaling: {kind: keda}}\n", []string{"runner.autoscaling.kind is keda, and KEDA has to know where Redis is: give redis.external.addresses"}},
		"Redis that is none":          {minimal + "---\nredis: {external: {url: 'r:6379'}}\n", []string{"redis.external.url is no address of Redis"}},
		"two configurations":          {minimal + "---\nconfig: {ci_access: {}}\n---" + withCredentials, []string{"the agent has only one configuration"}},
		"an order without local":      {minimal + "---\nconfig: {ci_access: {}}\nconfigSources: [repository]\n---" + withCredentials, []string{"config is given and configSources does not name local"}},
		"an order without files":      {minimal + "---\nconfigSources: [local]\n", []string{"configSources names local, and config is empty"}},
		"an order without a token":    {minimal + "---\nconfig: {ci_access: {}}\nconfigSources: [local, repository]\n", []string{"configSources names repository, and credentials.config has no token"}},
		"towline without config":      {minimal + "---\ntowline: {refine: []}\n---" + withCredentials, []string{"towline is given and config is empty"}},
		"an account without a name":   {minimal + "---\naccess: {mode: serviceAccount, namespaces: [a], agentServiceAccount: {create: false}}\n", []string{"access.agentServiceAccount.create is false, and name does not say which"}},
		"GitLab's names without one":  {minimal + "---\nserviceAccount: {create: false}\nrbac: {useExistingRole: x}\n", []string{"access.agentServiceAccount.create is false, and name does not say which"}},
		"a binding for no account":    {minimal + "---\naccess: {bindings: [{agent: true, role: x, namespaces: [a]}]}\n", []string{"access.bindings[0] is for the agent's ServiceAccount, and there is none"}},
		"CA of Redis without TLS":     {minimal + "---\nredis: {external: {addresses: ['r:6379'], tls: {caBundle: {existingSecret: x}}}}\n", []string{"redis.external.tls.caBundle is given, and Redis is reached without TLS"}},
		"CA for an address without":   {minimal + "---\nredis: {external: {url: 'redis://r', tls: {caBundle: {existingConfigMap: x}}}}\n", []string{"redis.external.tls.caBundle is given, and Redis is reached without TLS"}},
		"a database of a Cluster":     {minimal + "---\nredis: {external: {addresses: ['r:6379'], cluster: true, database: 2}}\n", []string{"redis.external.database is 2, and a Cluster has only database 0"}},
		"fewest more than most":       {minimal + "---\nrunner: {autoscaling: {kind: hpa, minReplicas: 5, maxReplicas: 3}}\n", []string{"runner.autoscaling.minReplicas is 5, more than maxReplicas, which is 3"}},
		"most fewer than the default": {minimal + "---\nredis: {external: {addresses: ['r:6379']}}\nrunner: {autoscaling: {kind: keda, maxReplicas: 1}}\n", []string{"runner.autoscaling.minReplicas is 2, more than maxReplicas, which is 1"}},
		"no room for one job":         {minimal + "---\nrunner: {scratch: {sizeLimit: 1Gi}}\n", []string{"runner.scratch.sizeLimit is 1Gi, less than one job may take (jobs.limits.scratch, 2147483648)"}},
		"no room, as a number":        {minimal + "---\nrunner: {scratch: {sizeLimit: 2e9}}\n", []string{"less than one job may take"}},
		"a token in the open":         {minimal + "---\nconfig: {agent: {token: x}}\n", []string{"config.agent.token would lie open in a ConfigMap"}},
		"a secret value is not shown": {"agent: x\ncredentials: {runner: {value: glrt-hidden}}\n", []string{"gitlab.url is missing"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := renderFor(t, target{release: release, namespace: "towline"}, tt.values)
			if err == nil {
				t.Fatal("it renders")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "glrt-hidden") {
				t.Errorf("the error shows a token:\n%v", err)
			}
		})
	}
}

func TestSchemaRefusesWhatTheChartDoesNotKnow(t *testing.T) {
	tests := map[string]string{
		"gitlab: {URL: x}":                       "URL",
		"gitlap: {url: x}":                       "gitlap",
		"tunnel: {replica: 1}":                   "replica",
		"runner: {drainTimeout: 1 hour}":         "drainTimeout",
		"runner: {drainTimeout: 1h30m}":          "drainTimeout",
		"runner: {sandbox: none}":                "sandbox",
		"credentials: {seal: {value: x}}":        "value",
		"redis: {prefix: '{a}'}":                 "prefix",
		"log: {level: verbose}":                  "level",
		"jobs: {concurrent: 0}":                  "concurrent",
		"image: {digest: {tunnel: latest}}":      "digest",
		"policy: {resources: {request: {}}}":     "request",
		"policy: {tolerations: [{keys: x}]}":     "keys",
		"access: {namespaces: [Shop]}":           "namespaces",
		"networkPolicy: {redis: {cidr: []}}":     "cidr",
		"networkPolicy: {redis: {cidrs: [any]}}": "cidrs",
	}
	for values, want := range tests {
		t.Run(values, func(t *testing.T) {
			_, err := renderFor(t, target{release: release, namespace: "towline"}, values+"\n")
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "values don't meet the specifications of the schema") {
				t.Errorf("error = %v, want the schema's about %s", err, want)
			}
		})
	}
}

// free are the parts of the values whose keys are not the chart's.
var free = []string{"/definitions/config", "/definitions/kubernetes", "/definitions/kubernetesList/items", "/definitions/quantities", "/definitions/strings", "/definitions/towline", "/properties/global"}

func TestSchemaIsStrictAndSelfContained(t *testing.T) {
	raw, err := os.ReadFile(chartDir + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	var open []string
	walk("", schema, func(at string, node map[string]any) {
		if ref, ok := node["$ref"].(string); ok && !strings.HasPrefix(ref, "#/definitions/") {
			t.Errorf("%s refers to %s: a chart must render without the network", at, ref)
		}
		if node["type"] == "object" && node["additionalProperties"] != false {
			open = append(open, at)
		}
	})
	slices.Sort(open)
	if !slices.Equal(open, free) {
		t.Errorf("objects that take any key: %v, want %v", open, free)
	}
}

func walk(at string, v any, visit func(at string, node map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(at, v)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			walk(at+"/"+k, v[k], visit)
		}
	case []any:
		for _, e := range v {
			walk(at, e, visit)
		}
	}
}

// A key that the schema knows and values.yaml does not is one nobody can find.
func TestEveryKeyOfTheSchemaHasADefault(t *testing.T) {
	c := loaded()
	var schema map[string]any
	if err := json.Unmarshal(c.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	var check func(at string, node map[string]any, values any)
	check = func(at string, node map[string]any, values any) {
		if _, ok := node["allOf"]; ok {
			return // a definition: what Kubernetes or GitLab knows, not the chart
		}
		properties, _ := node["properties"].(map[string]any)
		for key, child := range properties {
			if at == "" && key == "global" {
				continue
			}
			m, _ := values.(map[string]any)
			v, ok := m[key]
			if !ok {
				t.Errorf("values.yaml does not have %s.%s", at, key)
			}
			check(at+"."+key, child.(map[string]any), v)
		}
	}
	check("", schema, c.Values)
}

func TestChartSaysWhatItIs(t *testing.T) {
	c := loaded()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	for version, want := range map[string]bool{"v1.24.17": false, "v1.25.0": true, "v1.33.4-gke.1000": true, "v1.37.2": true} {
		if got := chartutil.IsCompatibleRange(c.Metadata.KubeVersion, version); got != want {
			t.Errorf("Kubernetes %s may have it: %t, want %t", version, got, want)
		}
	}
}
