"""What is read from the text of compiled programs, against counts by hand."""

import pytest

from jaxemb.planning.traffic import Collective, collectives

TEXT = """HloModule jit_train_step

%add (x: f32[], y: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%x, %y)
}

%body (state: (s32[], bf16[4,8])) -> (s32[], bf16[4,8]) {
  %a = bf16[4,8]{1,0} all-reduce(%x), replica_groups={}, to_apply=%add
  %b = (f32[8]{0}, f32[2,2]{1,0}) all-reduce(%y, %z), replica_groups={}, to_apply=%add
}

%condition (state: (s32[], bf16[4,8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(12)
  ROOT %less = pred[] compare(%i, %limit), direction=LT
}

%body.2 (state: (s32[], f32[6])) -> (s32[], f32[6]) {
  %k = (f32[6]{0}, f32[7]{0}) all-reduce-start(%x, %y), replica_groups=[1,8]<=[8], to_apply=%add
}

%condition.2 (state: (s32[], f32[6])) -> pred[] {
  ROOT %less = pred[] fusion(%i), kind=kLoop, calls=%compares
}

%all-reduce-scatter.1 (input: f32[32]) -> f32[4] {
  %whole = f32[32]{0} all-reduce(%input), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add
  ROOT %part = f32[4]{0} dynamic-slice(%whole, %at), dynamic_slice_sizes={4}
}

%starts (p: f32[4]) -> f32[32] {
  %whole = f32[9]{0} all-gather(%p), channel_id=7, replica_groups={}, STARTED
}

%goes_on (p: f32[4]) -> f32[32] {
  %whole = f32[9]{0} all-gather(%p), channel_id=7, replica_groups={}, CONTINUED
}

ENTRY %main (p: f32[16]) -> f32[16] {
  %loop = (s32[], bf16[4,8]) while(%start), condition=%condition, body=%body
  %loop.2 = (s32[], f32[6]) while(%s), condition=%condition.2, body=%body.2, config={"known_trip_count":{"n":"5"}}
  %c = (f32[16]{0}, f32[128]{0}) all-gather-start(%p), dimensions={0}
  %d = f32[128]{0} all-gather-done(%c)
  %n = ((f32[2]{0}, f32[3]{0}), (f32[16]{0}, f32[24]{0})) all-gather-start(%p, %q), dimensions={0}
  %f = f32[5]{0} all-reduce(%q), replica_groups={{0},{1}}, to_apply=%add
  %g = f32[5]{0} all-reduce(%q), replica_groups=[8,1]<=[8], to_apply=%add
  %m = f32[5]{0} all-reduce(%q), replica_groups=mesh['x'=8,'y'=1] {'y'}, to_apply=%add
  %h = f32[3]{0} all-reduce(%q), replica_groups=[2,4]<=[8], to_apply=%add
  %i = (f32[24]{0}, f32[24]{0}, u32[], u32[]) collective-permute-start(%q), source_target_pairs={{0,1},{1,2}}
  %s = f32[4]{0} fusion(%q), kind=kCustom, calls=%all-reduce-scatter.1
  %t = f32[9]{0} fusion(%q), kind=kCustom, calls=%starts
  %u = f32[9]{0} fusion(%q), kind=kCustom, calls=%goes_on
  ROOT %e = f32[2]{0} reduce-scatter(%q), replica_groups={{0,1},{2,3}}, to_apply=%add
}
"""
for mark, flag in (("STARTED", "-1"), ("CONTINUED", "2")):
    TEXT = TEXT.replace(mark, f'backend_config={{"async_collective_fusion_config":{{"flag_start":"{flag}"}}}}')


def test_collectives_of_a_program():
    found = {(one.kind, one.array): (one.size, one.count, one.devices, one.sent) for one in collectives(TEXT, [0] * 8)}
    assert found == {
        ("all-reduce", "bf16[4,8]"): (64, 12, 8, 12 * 2 * 64 * 7 // 8),
        ("all-reduce", "f32[8]"): (32, 12, 8, 12 * 2 * 32 * 7 // 8),
        ("all-reduce", "f32[2,2]"): (16, 12, 8, 12 * 2 * 16 * 7 // 8),
        ("all-reduce", "f32[6]"): (24, 5, 8, 5 * 2 * 24 * 7 // 8),
        ("all-reduce", "f32[7]"): (28, 5, 8, 5 * 2 * 28 * 7 // 8),
        ("all-gather", "f32[128]"): (512, 1, 8, 512 * 7 // 8),
        ("all-gather", "f32[16]"): (64, 1, 8, 64 * 7 // 8),
        ("all-gather", "f32[24]"): (96, 1, 8, 96 * 7 // 8),
        ("all-gather", "f32[9]"): (36, 1, 8, 36 * 7 // 8),
        ("all-reduce", "f32[3]"): (12, 1, 4, 2 * 12 * 3 // 4),
        ("collective-permute", "f32[24]"): (96, 1, 2, 96),
        ("reduce-scatter", "f32[32]"): (16, 1, 8, 16 * 7),
        ("reduce-scatter", "f32[2]"): (8, 1, 2, 8),
    }
    sent = [one.sent for one in collectives(TEXT, [0] * 8)]
    assert sent == sorted(sent, reverse=True)
    assert not any(one.crossing for one in collectives(TEXT, [0] * 8))
    assert collectives("", [0]) == []


@pytest.mark.parametrize(
    ("kind", "sent", "crossing"),
    [
        ("all-reduce", 2 * 80 * 3 // 4, 2 * 80 // 4 // 2),  # a quarter of the array is added up across two slices
        ("all-gather", 80 * 3 // 4, 80 // 4 // 2),
        ("reduce-scatter", 8 * 80 * 3 // 4, 8 * 80 // 4 // 2),
        ("all-to-all", 80 * 3 // 8, 80 // 2),
        ("collective-permute", 80, 80),
    ],
)
def test_what_crosses_slices(kind, sent, crossing):
    """Of 8 devices in two slices, three times 80 bytes."""
    one = Collective(kind, "f32[20]", 80, 3, 8, 2)
    assert (one.sent, one.crossing) == (3 * sent, 3 * crossing)
    alone = Collective(kind, "f32[20]", 80, 1, 2, 1)
    assert alone.crossing == 0


def test_what_a_tpu_sends_to_other_slices():
    """The compiler splits it: inside a slice by collectives, across slices by operations of their own."""
    sends = "\n".join(
        f"  %send.{i} = (f32[8,128]{{1,0}}, u32[], token[]) send(%x, %after), channel_id={i}, is_host_transfer=true, "
        f'frontend_attributes={{_xla_megascale_target="{{1,2}}x{{0:3}}",_xla_megascale_transfer_type="{kind}"}}'
        for i, kind in enumerate(("ALL_REDUCE", "ALL_GATHER", "REDUCE_SCATTER"))
    )
    text = f"ENTRY %main (p: f32[8]) -> f32[8] {{\n{sends}\n}}"
    found = {one.kind: (one.sent, one.crossing) for one in collectives(text, [0] * 4 + [1] * 4)}
    assert found == {"all-reduce": (0, 4096), "all-gather": (0, 4096), "reduce-scatter": (0, 2048)}
