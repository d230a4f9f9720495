package gitlab

import (
	"net/http"
	"testing"
)

// FuzzVariables plays answers that no GitLab would give: what is taken of them is
// within the limits and of the names that were asked for.
func FuzzVariables(f *testing.F) {
	f.Add([]byte(`[{"key":"A","value":"x","variable_type":"env_var","environment_scope":"*"}]`))
	f.Add([]byte(`[{"key":"A","key":"B","value":null,"variable_type":"file","hidden":true}]`))
	f.Add([]byte(`[{"key":"a b","value":"x"},null,{}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := (&answer{code: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: body}).variables([]string{"A", "B"}, nil)
		if err != nil && got != nil || len(got) > VariablesPerPage {
			t.Errorf("%v, %d", err, len(got))
		}
		for _, v := range got {
			if v.Key != "A" && v.Key != "B" || v.Hidden && v.Value != "" {
				t.Errorf("%+v", v)
			}
		}
	})
}
