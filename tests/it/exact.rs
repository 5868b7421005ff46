//! Exact models against closed forms, and samplers against other systems, in double precision.
use crate::common::{even, gap, latents, mixture, numbers, points, walk};
use burn::tensor::Tensor;
use tweedie::{
    Rng,
    denoise::Denoiser,
    exact::{Mixture, Terminal},
    noise::Gaussian,
    sample::{
        Churn, Dpm2, Dpm2Ancestral, DpmSolver, DpmSolverPp, DpmSolverPp2S, DpmSolverPp2SAncestral, Euler,
        EulerAncestral, Heun, Sampler,
    },
    schedule::{Edm, FlowMatching, OrnsteinUhlenbeck, Schedule, VarianceExploding},
};

/// x̂, score, ε̂ and ln p of one schedule's scales, in another program's double precision.
struct Closed {
    schedule: Box<dyn Schedule>,
    t: f64,
    x: [[f64; 2]; 4],
    score: [[f64; 2]; 4],
    eps: [[f64; 2]; 4],
    log: [f64; 4],
}

const PLACES: [[f64; 2]; 4] = [[0.0, 0.0], [1.0, -1.0], [-2.5, 0.7], [3.0, 3.0]];
fn closed_forms() -> Vec<Closed> {
    vec![
        Closed {
            schedule: Box::new(VarianceExploding { min: 0.25, max: 1.0 }),
            t: 0.5,
            x: [
                [-0.06700742009480233, 0.16705759651345337],
                [0.7187436137064391, -1.3621684741104056],
                [-2.1894736314558183, 0.2421052712523874],
                [2.1666666663041703, 2.3333333331716446],
            ],
            score: [
                [-0.2680296803792093, 0.6682303860538135],
                [-1.1250255451742437, -1.4486738964416226],
                [1.2421054741767263, -1.8315789149904502],
                [-3.3333333347833185, -2.6666666673134225],
            ],
            eps: [
                [0.13401484018960466, -0.33411519302690673],
                [0.5625127725871217, 0.7243369482208113],
                [-0.6210527370883634, 0.9157894574952251],
                [1.6666666673916595, 1.3333333336567108],
            ],
            log: [-4.868694467764968, -4.002911612022318, -2.763809338241503, -7.665421652769872],
        },
        Closed {
            schedule: Box::new(VarianceExploding { min: 1.0, max: 25.0 }),
            t: 0.5,
            x: [
                [-0.4366932993430123, -0.09569759441289556],
                [-0.3381765617019361, -0.1423502765389313],
                [-0.6990852556287201, -0.08186015675693947],
                [-0.06371286338097981, 0.1157060371099412],
            ],
            score: [
                [-0.017467731973720493, -0.0038279037765158227],
                [-0.053527062468077445, 0.03430598893844275],
                [0.0720365897748512, -0.031274406270277576],
                [-0.12254851453523918, -0.11537175851560234],
            ],
            eps: [
                [0.08733865986860247, 0.01913951888257911],
                [0.26763531234038723, -0.17152994469221375],
                [-0.36018294887425595, 0.15637203135138789],
                [0.6127425726761959, 0.5768587925780118],
            ],
            log: [-5.142559443689213, -5.193309373105713, -5.223018814238639, -5.532156082388795],
        },
        Closed {
            schedule: Box::new(FlowMatching {}),
            t: 0.3,
            x: [
                [-0.03549914026775711, 0.17512937509066026],
                [0.8323548212089392, -1.7262223591552857],
                [-2.836081129165831, 0.32961689004875855],
                [2.9521276595744674, 3.4029850746268653],
            ],
            score: [
                [-0.2761044243047775, 1.3621173618162465],
                [-4.637240279486029, -2.3150627934299983],
                [5.719368995376871, -5.214090855176322],
                [-10.372340425531922, -6.86567164179105],
            ],
            eps: [
                [0.08283132729143325, -0.40863520854487395],
                [1.3911720838458086, 0.6945188380289998],
                [-1.7158106986130615, 1.5642272565528967],
                [3.1117021276595764, 2.0597014925373154],
            ],
            log: [-4.577979519530931, -3.776258689374283, -5.918408004933221, -19.667935142033972],
        },
        Closed {
            schedule: Box::new(FlowMatching {}),
            t: 0.9,
            x: [
                [-0.44582340507209095, -0.09868731275832353],
                [-0.14217728297701848, -0.2583890891495988],
                [-1.2218464669536377, -0.061519334500413914],
                [0.7267119695070745, 0.6342998114893339],
            ],
            score: [
                [-0.05503992655210999, -0.012183618859052288],
                [-1.2521206522193848, 1.2026680136852346],
                [2.9355745102526374, -0.8717925104321498],
                [-3.6139861766040644, -3.625395085001317],
            ],
            eps: [
                [0.049535933896899, 0.010965256973147059],
                [1.1269085869974464, -1.0824012123167113],
                [-2.6420170592273737, 0.7846132593889348],
                [3.252587558943658, 3.262855576501185],
            ],
            log: [-1.6538294597764507, -2.9029456352035408, -5.560040049745633, -12.61658623229594],
        },
        Closed {
            schedule: Box::new(OrnsteinUhlenbeck {}),
            t: 0.6,
            x: [
                [-0.16747826931877602, 0.08621476495754306],
                [0.7332091820336347, -1.527637939138008],
                [-2.3039744607285177, 0.12183392944135146],
                [2.0901639065486135, 2.2941176339899747],
            ],
            score: [
                [-0.3721739318195023, 0.19158836657231793],
                [-1.1484240399252563, -0.6169731980844623],
                [1.8245011983810717, -1.673702379019219],
                [-3.688524652114192, -3.2352941466889447],
            ],
            eps: [
                [0.22330435909170138, -0.11495301994339076],
                [0.6890544239551537, 0.37018391885067725],
                [-1.0947007190286429, 1.0042214274115313],
                [2.213114791268515, 1.9411764880133668],
            ],
            log: [-3.4907004426433956, -3.285971135227185, -3.274352424702064, -9.368794339026092],
        },
        Closed {
            schedule: Box::new(OrnsteinUhlenbeck {}),
            t: std::f64::consts::FRAC_1_SQRT_2,
            x: [
                [-0.2422102430382833, 0.016960010513722822],
                [0.7569913087555697, -1.4339374835839032],
                [-2.2826070721884073, 0.06060337646788876],
                [1.9571042061398178, 2.0808790545541354],
            ],
            score: [
                [-0.34253701065042375, 0.023985076886497092],
                [-0.929452624559314, -0.027893836879503087],
                [1.7719061209424114, -1.314293883073509],
                [-3.232236688699639, -3.057192619391437],
            ],
            eps: [
                [0.2422102430382833, -0.016960010513722822],
                [0.6572222536175253, 0.019723921210808116],
                [-1.25292683374433, 0.9293461171932776],
                [2.285536480979467, 2.1617616325651494],
            ],
            log: [-2.876032030677205, -3.1405895542938884, -3.4786692579347687, -9.281700232928198],
        },
    ]
}

/// The probability flow of the mixture from 20 times the latents at σ = 20 to σ = 0.02.
const TRUTH: [[f64; 2]; 8] = [
    [1.892123473361358, 1.3768582220900745],
    [0.24320408032685872, -1.7774043491421867],
    [-2.5830624586168542, -0.7350077537523574],
    [-2.126863682965053, 0.00447101898112132],
    [1.6319550989212837, 1.7454748333555248],
    [1.8260867337372575, 1.1560587522229175],
    [0.007022979862756918, -1.7489743811558653],
    [-2.626592703160712, -0.6739691580622126],
];
/// Final points of samplers of k-diffusion and of EDM on the exact denoiser: (where it ends, sampler, points).
const FINAL: [(&str, &str, [[f64; 2]; 8]); 16] = [
    (
        "k_diffusion",
        "euler",
        [
            [1.7260621441078545, 1.2159582960834503],
            [0.0763069908910585, -1.5228870358712912],
            [-2.3796650105395956, -0.6153562838398138],
            [-1.994028210311892, 0.011755496480568846],
            [1.491354999566985, 1.5203149081656506],
            [1.6598060683944782, 1.0178226568650381],
            [-0.30215092481115247, -1.375731424270586],
            [-2.424627244015946, -0.5613092364310287],
        ],
    ),
    (
        "k_diffusion",
        "heun",
        [
            [1.9768636573216825, 1.4508454162733206],
            [0.2653011767417905, -1.8409769179779358],
            [-2.6818050376503533, -0.7886874164363928],
            [-2.1947593804155483, 0.004034119664625791],
            [1.7015707310900423, 1.8469765030370278],
            [1.9102670843013505, 1.2184737926495819],
            [0.028097137577223943, -1.8119035989589642],
            [-2.7251327075293172, -0.72435127554225],
        ],
    ),
    (
        "k_diffusion",
        "dpm_2",
        [
            [1.9439795298894436, 1.423328363128223],
            [0.2776702701324107, -1.8362759277884984],
            [-2.6391236436344245, -0.7664212739314642],
            [-2.1699603463795505, 0.0032331752881792743],
            [1.6766034025278556, 1.8074608158306311],
            [1.8782315583454425, 1.1961528930455558],
            [-0.00893478635793931, -1.7614658337960138],
            [-2.6844413619202006, -0.7026823445999109],
        ],
    ),
    (
        "k_diffusion",
        "dpmpp_2s(eta0)",
        [
            [1.8709183771441658, 1.356204869751093],
            [0.2242005357770258, -1.7464055016967377],
            [-2.55328970650835, -0.7100782294910053],
            [-2.1131519392555536, 0.0050244019546790974],
            [1.617947187998098, 1.7122920278659133],
            [1.8058453334094984, 1.1399709534809834],
            [-0.06830973422395134, -1.6622235038661453],
            [-2.5973791435560423, -0.6505782697731219],
        ],
    ),
    (
        "k_diffusion",
        "dpmpp_2m",
        [
            [2.0048225347985738, 1.4767526667578803],
            [0.2985465557910524, -1.8803203887085926],
            [-2.7126701498449823, -0.7630003961257417],
            [-2.232670947483857, 0.00355324160872703],
            [1.7434148096614346, 1.8682054199236124],
            [1.9440509612488284, 1.248314097808686],
            [0.029331789450091725, -1.7939779326944687],
            [-2.7528495817517906, -0.7028506756813762],
        ],
    ),
    (
        "k_diffusion",
        "dpm_fast(n=20)",
        [
            [1.8868226998462898, 1.3766452220058933],
            [0.20845032006191205, -1.7416015332775094],
            [-2.585302699866317, -0.7335888870567581],
            [-2.129703679957757, 0.004817490738219766],
            [1.6315630844313704, 1.7468078253521195],
            [1.8252272656365156, 1.1620606051949587],
            [0.028733828590927532, -1.7670363879638593],
            [-2.628028193682038, -0.6727416323360531],
        ],
    ),
    (
        "k_diffusion_to_zero",
        "euler",
        [
            [1.7256109222621607, 1.2157856675494703],
            [0.07757264853386325, -1.523735145063435],
            [-2.379549080712056, -0.6141858769995844],
            [-1.9940283792117954, 0.011732116697126307],
            [1.4913722550426394, 1.5198989889730379],
            [1.6594870942038835, 1.0178084101371574],
            [-0.29931192427938164, -1.3764478256411927],
            [-2.4243964529104383, -0.5603040239359108],
        ],
    ),
    (
        "k_diffusion_to_zero",
        "heun",
        [
            [1.9759118336542976, 1.4504850282507211],
            [0.26616934975597367, -1.8411112211023268],
            [-2.681344760329313, -0.7873428693581966],
            [-2.1944451727173915, 0.003869277261025417],
            [1.7011683943005724, 1.846299463466084],
            [1.9094481879253542, 1.2182991533269325],
            [0.030051698607948377, -1.8117540629734332],
            [-2.7245519805592466, -0.7231952485302249],
        ],
    ),
    (
        "k_diffusion_to_zero",
        "dpm_2",
        [
            [1.9430933432029291, 1.4229899711513039],
            [0.2784719254562689, -1.8364448462941871],
            [-2.638713778400599, -0.7650960145193383],
            [-2.169686376169549, 0.0030900101628527884],
            [1.676250900725185, 1.806815363539575],
            [1.8774766051349674, 1.1959960961686384],
            [-0.00688347331344444, -1.7614182747430709],
            [-2.683908345177076, -0.7015457614485759],
        ],
    ),
    (
        "k_diffusion_to_zero",
        "dpmpp_2s(eta0)",
        [
            [1.8701780211017227, 1.3559201336441842],
            [0.22511483850330546, -1.746775982893701],
            [-2.552972006849742, -0.7088194404394305],
            [-2.1129672538774806, 0.004922214835970783],
            [1.6177117644664611, 1.7117226497456988],
            [1.805234863681688, 1.1398590662280417],
            [-0.06613245693568531, -1.6623980070167423],
            [-2.59694363137129, -0.6494970318018944],
        ],
    ),
    (
        "k_diffusion_to_zero",
        "dpmpp_2m",
        [
            [2.0038149049885403, 1.476371569502279],
            [0.2993184458680283, -1.8803820650124354],
            [-2.712140119196344, -0.761741927594871],
            [-2.2322965854735632, 0.0033593419197408014],
            [1.7429289517573774, 1.867511410794869],
            [1.9431646319847569, 1.2481156053244347],
            [0.031252002875238286, -1.7938874895087789],
            [-2.7522074643671854, -0.7017681979777234],
        ],
    ),
    (
        "k_diffusion_to_zero",
        "euler_ancestral(eta1)",
        [
            [0.24714486626058332, -1.609858253377703],
            [-1.6038621660387835, 0.3058036523167355],
            [1.2856467307725932, 0.5589975138363334],
            [0.19694189257523842, -1.6344915995790927],
            [-1.5718889954659379, 0.34007874243640185],
            [1.4317035130504228, 0.6826156522545366],
            [0.23004790896817962, -1.6877164480413704],
            [-1.6355783313226682, 0.2956682670685294],
        ],
    ),
    (
        "k_diffusion_to_zero",
        "dpm_2_ancestral(eta1)",
        [
            [1.1645706168114498, 0.3977278917172796],
            [-2.0010560255082877, 0.3430528202182664],
            [-1.3246835162041537, 0.10254341320275998],
            [1.0540885934701272, 0.14689634383857492],
            [-1.9260307131921999, 0.43967518512971054],
            [1.800274668888664, 1.1880959969103289],
            [0.24003526802160494, -1.6628793200207166],
            [-2.0846535543495173, 0.3234090401988677],
        ],
    ),
    (
        "k_diffusion_to_zero",
        "dpmpp_2s_ancestral(eta1)",
        [
            [0.30361765571184046, -1.37517246203004],
            [-1.739178854313415, 0.3166761720344087],
            [1.1506019040251896, 0.5904790448616072],
            [0.2341901877776156, -1.6321253045973698],
            [-1.6932400863400496, 0.37425959452677554],
            [1.5544862815887472, 0.8725505899584719],
            [0.25322831689535014, -1.7212831780700255],
            [-1.7935166724043445, 0.30477139571048817],
        ],
    ),
    (
        "edm",
        "edm_sampler(n=18,smin=.02,smax=20)",
        [
            [1.9113323443640573, 1.3947137646064596],
            [0.25137306933348363, -1.79507187052437],
            [-2.6062518261975565, -0.7483789894240517],
            [-2.142279398774252, 0.003947290632288793],
            [1.6476381466377088, 1.7702767375439543],
            [1.8451448830779833, 1.1710524568559542],
            [0.008771828114023642, -1.7604280155045862],
            [-2.649823801469121, -0.6865105461724497],
        ],
    ),
    (
        "edm",
        "edm_sampler(n=18,churn=40,Smin=.05,Smax=50,Snoise=1.003",
        [
            [1.1141095666778718, 0.620771361452882],
            [0.4844888276999874, -1.5145597589030895],
            [-1.7095604154634088, -0.045449481013389435],
            [1.051592186440461, 0.563549689892281],
            [0.3632064307528489, -1.3287591068735385],
            [-1.6418770392328745, -0.009265546014553438],
            [1.0662741658262054, 0.5386515100122679],
            [-0.7432980069485183, -0.21783580377473769],
        ],
    ),
];
const LOG_EXACT: [f64; 4] = [-8.034964215808587, -6.408223391790449, -3.697457985987861, -11.502531178689537];
const LOG_NOISE: [f64; 4] = [-8.023767934306674, -6.387959889750156, -3.7339794134066624, -11.471713204912536];

#[test]
fn closed_forms_agree_with_another_programs() {
    for case in closed_forms() {
        let c = case.schedule.at(case.t);
        let z = points(PLACES);
        let model = mixture(Gaussian::new(case.schedule));
        let x = model.denoise(z.clone(), &[case.t]).mean;
        let eps = model.predict(z.clone(), &[case.t]);
        assert!(gap(x, points(case.x)) < 1e-12, "x̂ at {c:?}");
        assert!(gap(eps, points(case.eps)) < 1e-12, "ε̂ at {c:?}");
        assert!(gap(model.score(z.clone(), case.t), points(case.score)) < 1e-12, "score at {c:?}");
        for (log, other) in model.log_density(z, case.t).iter().zip(case.log) {
            assert!((log - other).abs() < 1e-12, "ln p at {c:?}: {log} and {other}");
        }
    }
}

/// EDM's ρ = 7 levels from 0.02 to 20 as a schedule: even times are its grid.
fn levels() -> Edm {
    Edm { min: 0.02, max: 20.0, rho: 7.0 }
}

#[test]
fn the_flow_is_the_reference_solution() {
    let model = mixture(Gaussian::new(levels()));
    let end = model.flow(latents() * 20.0, 1.0, 0.0);
    let error = gap(end, points(TRUTH));
    assert!(error < 1e-9, "{error:.2e}");
}

#[test]
fn the_flow_gives_the_likelihood() {
    let model = mixture(Gaussian::new(levels()));
    for (terminal, others) in [(Terminal::Exact, LOG_EXACT), (Terminal::Noise, LOG_NOISE)] {
        let ours = model.log_likelihood(points(PLACES), 0.0, 1.0, terminal);
        for (log, other) in ours.iter().zip(others) {
            assert!((log - other).abs() < 1e-9, "{terminal:?}: {log} and {other}");
        }
    }
}

fn theirs(end: &str, name: &str) -> Tensor<2> {
    points(FINAL.iter().find(|(e, n, _)| *e == end && n.starts_with(name)).expect("a row of the table").2)
}
/// The k-th noise of the reference runs: √2 sin(2.1 i + 1.1 j + 0.9 k + 0.4).
fn noise(k: usize) -> Tensor<2> {
    let at = |i: usize, j: usize| 2f64.sqrt() * (2.1 * i as f64 + 1.1 * j as f64 + 0.9 * k as f64 + 0.4).sin();
    points(std::array::from_fn::<_, 8, _>(|i| [at(i, 0), at(i, 1)]))
}

/// k-diffusion's samplers on the exact denoiser: ten levels by ρ = 7 from 20 to 0.02, and then to 0.
#[test]
fn one_step_and_multistep_samplers_end_where_k_diffusions_do() {
    let model = mixture(Gaussian::new(levels()));
    let samplers: [(&str, &dyn Sampler<2>); 5] = [
        ("euler", &Euler {}),
        ("heun", &Heun {}),
        ("dpm_2", &Dpm2 {}),
        ("dpmpp_2s", &DpmSolverPp2S::default()),
        ("dpmpp_2m", &DpmSolverPp::default()),
    ];
    for (name, sampler) in samplers {
        let end = walk(sampler, &model, &even(9), latents() * 20.0);
        let error = gap(end.clone(), theirs("k_diffusion", name));
        assert!(error < 1e-9, "{name}: {error:.2e}");
        let zero = model.denoise(end, &[0.0]).mean;
        let error = gap(zero, theirs("k_diffusion_to_zero", name));
        assert!(error < 1e-9, "{name} to zero: {error:.2e}");
    }
}

/// dpm_fast with 20 calls: six steps of order 3 and one of order 2, even in λ.
#[test]
fn dpm_solver_ends_where_dpm_fast_does() {
    let model = mixture(Gaussian::new(VarianceExploding { min: 0.02, max: 20.0 }));
    let (three, two) = (DpmSolver { order: 3 }, DpmSolver { order: 2 });
    let z = walk(&three, &model, &even(7)[..7], latents() * 20.0);
    let z = walk(&two, &model, &[1.0 / 7.0, 0.0], z);
    let error = gap(z, theirs("k_diffusion", "dpm_fast"));
    assert!(error < 1e-9, "{error:.2e}");
}

/// The ancestral samplers with the reference runs' noises.
#[test]
fn ancestral_samplers_end_where_k_diffusions_do() {
    let model = mixture(Gaussian::new(levels()));
    let times = even(9);
    type Step<'a> = &'a dyn Fn(Tensor<2>, f64, f64, &mut dyn FnMut(&Tensor<2>) -> Tensor<2>) -> Tensor<2>;
    let samplers: [(&str, Step); 3] = [
        ("euler_ancestral", &|z, t, s, draw| EulerAncestral::default().step_with(&model, z, t, s, draw)),
        ("dpm_2_ancestral", &|z, t, s, draw| Dpm2Ancestral::default().step_with(&model, z, t, s, draw)),
        ("dpmpp_2s_ancestral", &|z, t, s, draw| DpmSolverPp2SAncestral::default().step_with(&model, z, t, s, draw)),
    ];
    for (name, step) in samplers {
        let mut z = latents() * 20.0;
        for (k, pair) in times.windows(2).enumerate() {
            z = step(z, pair[0], pair[1], &mut |_: &Tensor<2>| noise(k));
        }
        let error = gap(model.denoise(z, &[0.0]).mean, theirs("k_diffusion_to_zero", name));
        assert!(error < 1e-9, "{name}: {error:.2e}");
    }
}

/// EDM's sampler: 18 levels by ρ = 7 from 20 to 0.02 and then 0, without and with churn, a noise drawn every step.
#[test]
fn churn_ends_where_edms_sampler_does() {
    let model = mixture(Gaussian::new(levels()));
    let end = walk(&Heun {}, &model, &even(17), latents() * 20.0);
    let error = gap(model.denoise(end, &[0.0]).mean, theirs("edm", "edm_sampler(n=18,smin=.02,smax=20)"));
    assert!(error < 1e-9, "{error:.2e}");

    // Room above 20, to which the first step raises the noise.
    let wide = Edm { min: 0.02, max: 80.0, rho: 7.0 };
    let model = mixture(Gaussian::new(wide));
    let mut times: Vec<f64> = even(17).iter().map(|&t| wide.time(levels().at(t).log_snr())).collect();
    times[17] = 0.0;
    let churn = Churn { churn: 40.0, min: 0.05, max: 50.0, noise: 1.003 };
    let mut z = latents() * 20.0;
    for (k, pair) in times.windows(2).enumerate() {
        z = churn.step_with(&model, z, pair[0], pair[1], 18, &mut |_: &Tensor<2>| noise(k));
    }
    let error = gap(model.denoise(z, &[0.0]).mean, theirs("edm", "edm_sampler(n=18,churn"));
    assert!(error < 1e-9, "{error:.2e}");
}

/// The errors of k-diffusion's samplers on the exact denoiser, 10, 20, … 320 steps by ρ = 7 from 20 to 0.02: the largest difference
/// of a coordinate from the flow.
#[test]
fn errors_fall_as_k_diffusions_do() {
    let model = mixture(Gaussian::new(levels()));
    let cases: [(&str, &dyn Sampler<2>, [f64; 6]); 5] = [
        (
            "euler",
            &Euler {},
            [
                0.326823402792521,
                0.15851095681227712,
                0.0768093510410266,
                0.03771828655648557,
                0.01868224806999419,
                0.009296362920129031,
            ],
        ),
        (
            "heun",
            &Heun {},
            [
                0.08117960386684353,
                0.018006238047778567,
                0.004262800431095171,
                0.001038086038158914,
                0.0002562065255895529,
                6.364566478067601e-05,
            ],
        ),
        (
            "dpm_2",
            &Dpm2 {},
            [
                0.046891011648984904,
                0.010825691950334893,
                0.002584418570316771,
                0.0006317281914429707,
                0.00015618757292945595,
                3.883203938248592e-05,
            ],
        ),
        (
            "dpmpp_2s(eta0)",
            &DpmSolverPp2S::default(),
            [
                0.056884385175326235,
                0.019858913206264983,
                0.005805303900446868,
                0.0015715557252089507,
                0.000410535197141515,
                0.00010503992937915818,
            ],
        ),
        (
            "dpmpp_2m",
            &DpmSolverPp::default(),
            [
                0.10004335018614396,
                0.021405779227296584,
                0.005592710680524137,
                0.001588490208731013,
                0.0004137749662629243,
                0.00010509575543754188,
            ],
        ),
    ];
    for (name, sampler, errors) in cases {
        for (i, theirs) in errors.into_iter().enumerate() {
            let steps = 10 << i;
            let ours = gap(walk(sampler, &model, &even(steps), latents() * 20.0), points(TRUTH));
            assert!((ours / theirs - 1.0).abs() < 1e-6, "{name}, {steps} steps: {ours} for {theirs}");
        }
    }
}

/// Three points as data: x̂ is their mean by the softmax of −|z − α xᵢ|²/2(α² s² + σ²), the density that of a kernel on each.
#[test]
fn the_denoiser_of_a_data_set_is_a_softmax_over_it() {
    let data = [[-1.0, 0.5], [2.0, 0.0], [0.3, -1.4]];
    let z = [[0.2, -0.1], [-1.0, 0.6], [1.5, 1.5]];
    for spread in [0.0, 0.25] {
        let noise = Gaussian::new(OrnsteinUhlenbeck {});
        let model = Mixture::empirical(noise.clone(), data.map(|x| x.to_vec()).to_vec(), spread).unwrap();
        for t in [0.1, 0.5, 0.93] {
            let c = noise.schedule().at(t);
            let var = (c.alpha * spread).powi(2) + c.sigma * c.sigma;
            let own = model.denoise(points(z), &[t]).mean;
            let (own, log) = (numbers(own), model.log_density(points(z), t));
            for (row, z) in z.iter().enumerate() {
                let square = |x: [f64; 2]| (z[0] - c.alpha * x[0]).powi(2) + (z[1] - c.alpha * x[1]).powi(2);
                let weights = data.map(|x| (-0.5 * square(x) / var).exp());
                let total: f64 = weights.iter().sum();
                let kernels = total / 3.0 / (std::f64::consts::TAU * var);
                assert!(
                    (log[row] - kernels.ln()).abs() < 1e-10,
                    "s = {spread}, t = {t}: {} for {}",
                    log[row],
                    kernels.ln()
                );
                for d in 0..2 {
                    // Each point itself, moved towards z by the share of its kernel.
                    let guess = |x: [f64; 2]| x[d] + c.alpha * spread * spread / var * (z[d] - c.alpha * x[d]);
                    let mean: f64 = data.iter().zip(weights).map(|(x, w)| w * guess(*x)).sum::<f64>() / total;
                    let own = own[2 * row + d];
                    assert!((own - mean).abs() < 1e-10, "s = {spread}, t = {t}: {own} for {mean}");
                }
            }
        }
    }
}

/// Draws of a data set are its points, each as often as another, and of a spread one points with that spread around them.
#[test]
fn draws_of_a_data_set_are_its_points() {
    let data = vec![vec![-1.0, 0.5], vec![2.0, 0.0], vec![0.3, -1.4]];
    let draw = |std| {
        let noise = Gaussian::new(OrnsteinUhlenbeck {});
        Mixture::empirical(noise, data.clone(), std).unwrap().sample(6000, &mut Rng::new(3))
    };
    let points = draw(0.0);
    for x in &data {
        // Five standard errors of a third of 6000.
        let count = points.iter().filter(|draw| *draw == x).count();
        assert!(count.abs_diff(2000) < 183, "{count} of 6000 draws are {x:?}");
    }
    assert!(points.iter().all(|draw| data.contains(draw)));
    // Far nearer to their own point than to another.
    let near = |draw: &[f64], x: &[f64]| (draw[0] - x[0]).powi(2) + (draw[1] - x[1]).powi(2);
    let spread: f64 =
        draw(0.1).iter().map(|draw| data.iter().map(|x| near(draw, x)).fold(f64::INFINITY, f64::min)).sum::<f64>()
            / 12_000.0;
    assert!((spread / 0.01 - 1.0).abs() < 5.0 * (2.0 / 12_000_f64).sqrt(), "{spread}");
}
