package chart
import ("testing";"sigs.k8s.io/yaml";"os")
func TestDump(t *testing.T){ for _,n:=range []string{os.Getenv("DUMP")} { r:=render(t,combinations[n]); for _,o:=range r.objects { b,_:=yaml.Marshal(o.Object); t.Logf("---\n%s",b)}; t.Log(r.notes)}}
