/* SPDX-License-Identifier: Apache-2.0
 * Private to special_vector.c: polynomials in t, -1 <= t <= 1. Written by
 * scripts/special_polynomials.py, which says how they were found. */
#ifndef JM_ELEMENTWISE_SPECIAL_POLYNOMIALS_H
#define JM_ELEMENTWISE_SPECIAL_POLYNOMIALS_H

#include "base/number.h"

/* w in [0, 6.25]: relative error 7.5e-9 */
JM_INLINE float jm_erf_inv_center_f32(float t) {
  float p = 0x1.5f4c91a1a99f5p-21f;
  p = p * t + 0x1.f17565b5d9b54p-15f;
  p = p * t - 0x1.15ed19d03da57p-13f;
  p = p * t - 0x1.dafa881ea9fe2p-13f;
  p = p * t + 0x1.4516e6c27d1ebp-10f;
  p = p * t - 0x1.5279ce1206178p-10f;
  p = p * t - 0x1.0f41aa2d71e5dp-8f;
  p = p * t + 0x1.23d8bdc392216p-6f;
  p = p * t - 0x1.72594fd366cabp-6f;
  p = p * t - 0x1.e2b264d9bb396p-5f;
  p = p * t + 0x1.8040ca8fc8fb0p-1f;
  p = p * t + 0x1.a755e7e0c2af0p+0f;
  return p;
}

/* w in [0, 6.25]: relative error 7.8e-18 */
JM_INLINE double jm_erf_inv_center_f64(double t) {
  double p = -0x1.293907e988d13p-32;
  p = p * t + 0x1.a6b974c51a6f0p-31;
  p = p * t + 0x1.a75c19e5e82b6p-30;
  p = p * t - 0x1.263713f720005p-27;
  p = p * t + 0x1.495443ba8969ap-28;
  p = p * t + 0x1.50562a1255795p-25;
  p = p * t - 0x1.a7d0a7435fc08p-24;
  p = p * t - 0x1.5df5816a743d4p-27;
  p = p * t + 0x1.219afa7cafd04p-21;
  p = p * t - 0x1.1c5c0331bf7ecp-20;
  p = p * t - 0x1.6f1195e98efe1p-21;
  p = p * t + 0x1.de7d7378497fbp-18;
  p = p * t - 0x1.79bba2ad89922p-17;
  p = p * t - 0x1.f83f0cb11fcd4p-17;
  p = p * t + 0x1.879c793a90afcp-14;
  p = p * t - 0x1.ea446faa53915p-14;
  p = p * t - 0x1.153ca28c1a44cp-12;
  p = p * t + 0x1.4316b4d75322bp-10;
  p = p * t - 0x1.4d5dd2d0660b0p-10;
  p = p * t - 0x1.0f249df1bb639p-8;
  p = p * t + 0x1.23c5aee6b6ed2p-6;
  p = p * t - 0x1.7259eca3a141fp-6;
  p = p * t - 0x1.e2b19456a07dep-5;
  p = p * t + 0x1.8040caa12786bp-1;
  p = p * t + 0x1.a755e7c99ae86p+0;
  return p;
}

/* sqrt(w) in [2.5, 4]: relative error 1.4e-8 */
JM_INLINE float jm_erf_inv_middle_f32(float t) {
  float p = -0x1.aa546a69c8d4fp-19f;
  p = p * t - 0x1.213bcb04bd5ccp-15f;
  p = p * t + 0x1.6c5e074722b9bp-13f;
  p = p * t - 0x1.ae8bee099cb3ap-12f;
  p = p * t + 0x1.9cb69f9cd4820p-11f;
  p = p * t - 0x1.9e1eafdb8543cp-10f;
  p = p * t + 0x1.8bff6c2c2f53ep-9f;
  p = p * t + 0x1.8204f32ee3616p-1f;
  p = p * t + 0x1.8abcc380d5a48p+1f;
  return p;
}

/* sqrt(w) in [2.5, 4]: relative error 1.1e-18 */
JM_INLINE double jm_erf_inv_middle_f64(double t) {
  double p = 0x1.ac779dcd8e589p-36;
  p = p * t - 0x1.1c9f3aa5fca5cp-34;
  p = p * t - 0x1.034978cde5ad0p-33;
  p = p * t + 0x1.0fe3d18357c1fp-30;
  p = p * t - 0x1.522c2c004e34cp-29;
  p = p * t - 0x1.95c96666ea5fcp-32;
  p = p * t + 0x1.c5882c111f3a6p-26;
  p = p * t - 0x1.96b02bed2c552p-24;
  p = p * t + 0x1.8ef95c14a2ac8p-24;
  p = p * t + 0x1.1aa4689f7720ap-21;
  p = p * t - 0x1.65a99e8f8b629p-19;
  p = p * t + 0x1.5816a1b416477p-18;
  p = p * t + 0x1.42e8e2a16deb9p-19;
  p = p * t - 0x1.8d8d2c990c866p-15;
  p = p * t + 0x1.63d0370fa4c6bp-13;
  p = p * t - 0x1.a418d38d78871p-12;
  p = p * t + 0x1.9d4ce3863b087p-11;
  p = p * t - 0x1.9eda88e4f2509p-10;
  p = p * t + 0x1.8bfc9e26da6e0p-9;
  p = p * t + 0x1.8204fa4162bffp-1;
  p = p * t + 0x1.8abcc380d5a48p+1;
  return p;
}

/* sqrt(w) in [4, 6.25]: relative error 4.4e-18 */
JM_INLINE double jm_erf_inv_end_f64(double t) {
  double p = 0x1.32b74222def20p-35;
  p = p * t - 0x1.74ae24b36f2d9p-34;
  p = p * t - 0x1.f6579828f15ecp-35;
  p = p * t + 0x1.1ab121a7526c1p-31;
  p = p * t - 0x1.90844ae793855p-30;
  p = p * t + 0x1.fe491323c6d59p-29;
  p = p * t - 0x1.1890ced5b5b4fp-27;
  p = p * t + 0x1.02ec16ac91644p-26;
  p = p * t - 0x1.b5cb8a291e7ddp-26;
  p = p * t + 0x1.938f098e29c6fp-25;
  p = p * t - 0x1.0195fedf65781p-23;
  p = p * t + 0x1.d2952cb725dc4p-22;
  p = p * t - 0x1.e7793d7929bf9p-20;
  p = p * t + 0x1.fdda8d1063d7ep-18;
  p = p * t - 0x1.f59052ad933d0p-16;
  p = p * t + 0x1.b29f5dfa787edp-14;
  p = p * t - 0x1.0ca5c8d783892p-12;
  p = p * t - 0x1.1a24434a33273p-12;
  p = p * t + 0x1.22f42cba319dcp+0;
  p = p * t + 0x1.3e79eb73b06f4p+2;
  return p;
}

/* x in [1, 3]: relative error 9.3e-18 */
JM_INLINE double jm_lgamma_near_f64(double t) {
  double p = -0x1.a3f97b5464f9ap-31;
  p = p * t + 0x1.b0d6e55603b75p-30;
  p = p * t + 0x1.206dee4c838a5p-29;
  p = p * t - 0x1.285a3a5829dd0p-28;
  p = p * t - 0x1.0d77de0390873p-27;
  p = p * t + 0x1.16378b8e8e56cp-26;
  p = p * t - 0x1.77288613c1092p-29;
  p = p * t + 0x1.962bc62ce7761p-28;
  p = p * t - 0x1.ac03e6dbcadd4p-25;
  p = p * t + 0x1.bf8db5e33a58dp-24;
  p = p * t - 0x1.936479fb9046fp-23;
  p = p * t + 0x1.a91686d709253p-22;
  p = p * t - 0x1.cac9f4fe7556fp-21;
  p = p * t + 0x1.e63dd1f85f483p-20;
  p = p * t - 0x1.022884cee4d11p-18;
  p = p * t + 0x1.13dbddcd4c38ep-17;
  p = p * t - 0x1.2850b6e854fa0p-16;
  p = p * t + 0x1.402f77c319948p-15;
  p = p * t - 0x1.5c86b33a29beep-14;
  p = p * t + 0x1.7ed73069f642cp-13;
  p = p * t - 0x1.a96a401fda6e3p-12;
  p = p * t + 0x1.dfebcf9e3a196p-11;
  p = p * t - 0x1.145121f98a3c7p-9;
  p = p * t + 0x1.479748539658fp-8;
  p = p * t - 0x1.95ce223a9ccefp-7;
  p = p * t + 0x1.0e0c9df2935cep-5;
  p = p * t - 0x1.9ae6509ea109fp-4;
  p = p * t + 0x1.b0ee6072093cep-2;
  return p;
}

/* x in [0, 8]: relative error 4.7e-10 */
JM_INLINE double jm_bessel_i0e_near_f32(double t) {
  double p = -0x1.13d1967d9f200p-13;
  p = p * t + 0x1.6d284185c643fp-12;
  p = p * t - 0x1.dc8901e1b5649p-13;
  p = p * t + 0x1.b2857af2838fap-12;
  p = p * t - 0x1.06bb0c39704c5p-9;
  p = p * t + 0x1.110624fc96c6cp-8;
  p = p * t - 0x1.b3e84d286a133p-8;
  p = p * t + 0x1.7ab61c0054cc2p-7;
  p = p * t - 0x1.43841a8386c27p-6;
  p = p * t + 0x1.f165a1e0857c9p-6;
  p = p * t - 0x1.600020e8185f1p-5;
  p = p * t + 0x1.d0b7256b4fa39p-5;
  p = p * t - 0x1.1cda042ace50ap-4;
  p = p * t + 0x1.44be1634c36a8p-4;
  p = p * t - 0x1.5c0257dbb07b2p-4;
  p = p * t + 0x1.65c1951a29650p-4;
  p = p * t - 0x1.6cb8d27d06b97p-4;
  p = p * t + 0x1.8322d6ba939adp-4;
  p = p * t - 0x1.cedda00257d1bp-4;
  p = p * t + 0x1.a7f09f8bcd880p-3;
  return p;
}

/* x in [0, 8]: relative error 3.1e-18 */
JM_INLINE double jm_bessel_i0e_near_f64(double t) {
  double p = -0x1.409665a03765ap-30;
  p = p * t + 0x1.332208b1b9040p-28;
  p = p * t - 0x1.0e148b0af9254p-27;
  p = p * t + 0x1.c35f7ef8ecfc7p-26;
  p = p * t - 0x1.e70761a76cf5bp-24;
  p = p * t + 0x1.8aa9ed99d4de8p-22;
  p = p * t - 0x1.246102354dd25p-20;
  p = p * t + 0x1.b170d36b55864p-19;
  p = p * t - 0x1.3666062a15f5fp-17;
  p = p * t + 0x1.a6d2ef17e0495p-16;
  p = p * t - 0x1.12c45b18c205dp-14;
  p = p * t + 0x1.5496c575b16e4p-13;
  p = p * t - 0x1.918057560fb50p-12;
  p = p * t + 0x1.c0f4afe538061p-11;
  p = p * t - 0x1.daf9ae8ac58f3p-10;
  p = p * t + 0x1.da1a9fb31a327p-9;
  p = p * t - 0x1.bd258ef81b1b7p-8;
  p = p * t + 0x1.87e867ba41db8p-7;
  p = p * t - 0x1.427b099142586p-6;
  p = p * t + 0x1.ee6f564cfa915p-6;
  p = p * t - 0x1.602411e2b84cbp-5;
  p = p * t + 0x1.d11e10f60db14p-5;
  p = p * t - 0x1.1cd73a8e6cd6ep-4;
  p = p * t + 0x1.44b6196a78062p-4;
  p = p * t - 0x1.5c028fe647844p-4;
  p = p * t + 0x1.65c235bfeaa72p-4;
  p = p * t - 0x1.6cb8d0c91588fp-4;
  p = p * t + 0x1.8322d1d8a3bbbp-4;
  p = p * t - 0x1.cedda0048620cp-4;
  p = p * t + 0x1.a7f09f8eedf5ap-3;
  return p;
}

/* 8 / x in [0, 1]: relative error 1.4e-9 */
JM_INLINE double jm_bessel_i0e_far_f32(double t) {
  double p = 0x1.d123fd9a60f96p-24;
  p = p * t + 0x1.85f3b15706977p-22;
  p = p * t + 0x1.8c6c618c0aa56p-20;
  p = p * t + 0x1.74d746e242df4p-17;
  p = p * t + 0x1.1daadc5cef4e1p-13;
  p = p * t + 0x1.b8798af5f7187p-9;
  p = p * t + 0x1.9bd428ad249a5p-2;
  return p;
}

/* 8 / x in [0, 1]: relative error 6.8e-18 */
JM_INLINE double jm_bessel_i0e_far_f64(double t) {
  double p = -0x1.36e52c10032d7p-34;
  p = p * t - 0x1.52109c25bd9ecp-36;
  p = p * t + 0x1.1ce14787c5bdep-31;
  p = p * t + 0x1.42a55974d41b8p-33;
  p = p * t - 0x1.e8fd992032bedp-30;
  p = p * t - 0x1.31c908a5dd531p-31;
  p = p * t + 0x1.0ab5ef575d285p-28;
  p = p * t + 0x1.9bbbfe31d81e9p-30;
  p = p * t - 0x1.a9411c5b0ad08p-28;
  p = p * t - 0x1.df1549cddfaf8p-29;
  p = p * t + 0x1.047454ffcb608p-27;
  p = p * t + 0x1.0317d4c7b215ap-27;
  p = p * t - 0x1.77cc956faaa2fp-28;
  p = p * t - 0x1.cc90f59ec1228p-27;
  p = p * t - 0x1.ce768f00b5374p-28;
  p = p * t + 0x1.03896efb09a41p-27;
  p = p * t + 0x1.7224b1828e507p-26;
  p = p * t + 0x1.51ced7b713adcp-25;
  p = p * t + 0x1.7d0f75812d9bcp-24;
  p = p * t + 0x1.3f49a6bcfc2d9p-22;
  p = p * t + 0x1.8e513a1d5e52bp-20;
  p = p * t + 0x1.75e5ee71edd14p-17;
  p = p * t + 0x1.1daa72b5e650cp-13;
  p = p * t + 0x1.b87969bb93b75p-9;
  p = p * t + 0x1.9bd428ad249a5p-2;
  return p;
}

/* x in [0, 8]: relative error 5.0e-10 */
JM_INLINE double jm_bessel_i1e_near_f32(double t) {
  double p = -0x1.1c5677ced4fc3p-16;
  p = p * t + 0x1.8e488d62e00f5p-15;
  p = p * t - 0x1.6a32550bd8febp-15;
  p = p * t + 0x1.893ffdf9dfc91p-14;
  p = p * t - 0x1.7d4f4422fa496p-12;
  p = p * t + 0x1.a9bf3ae0c0615p-11;
  p = p * t - 0x1.8f1b4d3c433aap-10;
  p = p * t + 0x1.837f136c47596p-9;
  p = p * t - 0x1.6b31caab54c42p-8;
  p = p * t + 0x1.3ac5c4c331107p-7;
  p = p * t - 0x1.fe2cee162b636p-7;
  p = p * t + 0x1.83f93049d674fp-6;
  p = p * t - 0x1.13d698cd3d2bdp-5;
  p = p * t + 0x1.6dfb52204b1c0p-5;
  p = p * t - 0x1.c4da981688137p-5;
  p = p * t + 0x1.0530e47adc360p-4;
  p = p * t - 0x1.188137d27b6cdp-4;
  p = p * t + 0x1.16c3917640d1cp-4;
  p = p * t - 0x1.f4bb0719f5fa9p-5;
  p = p * t + 0x1.6e14eb8cd66cbp-5;
  return p;
}

/* x in [0, 8]: relative error 2.1e-18 */
JM_INLINE double jm_bessel_i1e_near_f64(double t) {
  double p = -0x1.9be8fdf579908p-34;
  p = p * t + 0x1.99db77e00f02dp-32;
  p = p * t - 0x1.95ae4a3a5ec82p-31;
  p = p * t + 0x1.65dc717d15110p-29;
  p = p * t - 0x1.80875810a1429p-27;
  p = p * t + 0x1.46a890c79f1e3p-25;
  p = p * t - 0x1.01b4b419a1fcbp-23;
  p = p * t + 0x1.93a99c550319ep-22;
  p = p * t - 0x1.317ffb356f636p-20;
  p = p * t + 0x1.ba196041625d2p-19;
  p = p * t - 0x1.3269f669d578fp-17;
  p = p * t + 0x1.969330fb70d0ep-16;
  p = p * t - 0x1.01a43775d9f1cp-14;
  p = p * t + 0x1.37430c18eefeap-13;
  p = p * t - 0x1.65bf65dd72f08p-12;
  p = p * t + 0x1.8656c1654765cp-11;
  p = p * t - 0x1.93682690e9b9ap-10;
  p = p * t + 0x1.89f8a69545405p-9;
  p = p * t - 0x1.6ab6a3876ed57p-8;
  p = p * t + 0x1.3a0c1a007877fp-7;
  p = p * t - 0x1.fe3d9c01a6736p-7;
  p = p * t + 0x1.84125b0d2de85p-6;
  p = p * t - 0x1.13d5f358a4edap-5;
  p = p * t + 0x1.6df95e8bdfc8fp-5;
  p = p * t - 0x1.c4daa51341c6dp-5;
  p = p * t + 0x1.0530f817ffa4ap-4;
  p = p * t - 0x1.1881379ffb5c2p-4;
  p = p * t + 0x1.16c390ddb08ecp-4;
  p = p * t - 0x1.f4bb071a7752bp-5;
  p = p * t + 0x1.6e14eb8e5d319p-5;
  return p;
}

/* 8 / x in [0, 1]: relative error 1.7e-9 */
JM_INLINE double jm_bessel_i1e_far_f32(double t) {
  double p = -0x1.0642eb9b3cee6p-23;
  p = p * t - 0x1.c4a446b953f50p-22;
  p = p * t - 0x1.ea5add6a83d6ap-20;
  p = p * t - 0x1.f76d905540c99p-17;
  p = p * t - 0x1.cbc5ca68b12b5p-13;
  p = p * t - 0x1.3f796ae731dbbp-7;
  p = p * t + 0x1.8ebe783a84030p-2;
  return p;
}

/* 8 / x in [0, 1]: relative error 7.3e-18 */
JM_INLINE double jm_bessel_i1e_far_f64(double t) {
  double p = 0x1.432b0a4121172p-34;
  p = p * t + 0x1.33e83e12ca3b4p-36;
  p = p * t - 0x1.2839623e2341cp-31;
  p = p * t - 0x1.272ae05110368p-33;
  p = p * t + 0x1.fce6b32270b52p-30;
  p = p * t + 0x1.1aee882806184p-31;
  p = p * t - 0x1.162964d5f91dbp-28;
  p = p * t - 0x1.858c7591014bdp-30;
  p = p * t + 0x1.bdc8daed57db9p-28;
  p = p * t + 0x1.d4345a69bfc30p-29;
  p = p * t - 0x1.1465ce7d29637p-27;
  p = p * t - 0x1.0630cddd4e099p-27;
  p = p * t + 0x1.9f203cf2783b7p-28;
  p = p * t + 0x1.e20e7d69649cap-27;
  p = p * t + 0x1.cd81846fb3ff1p-28;
  p = p * t - 0x1.21895bb7ba33fp-27;
  p = p * t - 0x1.9180f82a1d429p-26;
  p = p * t - 0x1.727a73a8063a8p-25;
  p = p * t - 0x1.ad8db6e1fecbbp-24;
  p = p * t - 0x1.76137e6905189p-22;
  p = p * t - 0x1.ec8e101744487p-20;
  p = p * t - 0x1.f89c23066d278p-17;
  p = p * t - 0x1.cbc54df1ece76p-13;
  p = p * t - 0x1.3f796198ee628p-7;
  p = p * t + 0x1.8ebe783a84030p-2;
  return p;
}

#endif
